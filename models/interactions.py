"""Interactions: who met which product, how strongly and when, read from events."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import TextClause, text

from event_ids import ID_DAY_MARGIN, first_id_of
from event_types import CATALOGUE, types_by_counter
from models.daily_aggregates import UNDATED_END
from models.traffic import is_counted_sql

_WEIGHTS = {name: kind.weight for name, kind in CATALOGUE.items() if kind.weight > 0}
INTERESTED_TYPES = ", ".join(f"'{name}'" for name in _WEIGHTS)
BOUGHT_TYPES = ", ".join(f"'{name}'" for name in types_by_counter()["sales", 1])
_STARRED = ", ".join(f"'{name}'" for name in types_by_counter()["ratings", 1])
_WEIGHT = "CASE event_type {} END".format(
    " ".join(f"WHEN '{name}' THEN {weight}" for name, weight in _WEIGHTS.items())
)
#: The best rating there is.
STARS = 5
# Five stars count in full, one star a fifth; less than none is none, more than five are five. What
# has no stars, or "not a number" (the largest of all to PostgreSQL), counts as if it had not said.
# Rounded: a number may be too small to be a float.
_SHARE = (
    f"CASE WHEN event_type IN ({_STARRED}) AND value < 'NaN' "
    f"THEN round(least(greatest(value, 0), {STARS}) / {STARS}.0, 6) ELSE 1 END"
)
WEIGHT_OF_EVENT = f"CAST({_SHARE} * {_WEIGHT} AS float8)"


def lines_sql(condition: str) -> str:
    """Write the SELECT of one line for each product of each event that shows interest.

    Who met it is the event's user, or else the one its anonymous id is linked to, or else that id.
    `condition` is on events.
    """
    picked = f"event_type IN ({INTERESTED_TYPES}) AND {condition} AND {is_counted_sql()}"
    people = """events LEFT JOIN identities
        ON events.user_id IS NULL AND identities.anonymous_id = events.anonymous_id"""
    who = "coalesce(events.user_id, identities.user_id, events.anonymous_id) AS user_id"
    return f"""
SELECT user_id, product_id, event_type, {WEIGHT_OF_EVENT} AS weight, value, quantity, occurred_at,
    session_id, event_type IN ({BOUGHT_TYPES}) AS bought, event_id, place
FROM (
    SELECT {who}, product_id, event_type, value, quantity, occurred_at, session_id, event_id,
        CAST(0 AS bigint) AS place
    FROM {people} WHERE {picked} AND product_id IS NOT NULL AND items IS NULL
    UNION ALL
    SELECT {who}, item.product_id, event_type, item.value, item.quantity, occurred_at, session_id,
        event_id, place
    FROM {people} CROSS JOIN LATERAL ROWS FROM (
            jsonb_to_recordset(items) AS (product_id text, value numeric, quantity int)
        ) WITH ORDINALITY AS item(product_id, value, quantity, place)
    WHERE {picked} AND items IS NOT NULL AND item.product_id IS NOT NULL
) AS line"""


#: The condition on events of `interaction_bounds`: those of somebody, from :since to :until.
IN_BOUNDS = (
    "(event_id >= CAST(:low AS uuid) OR event_id < CAST(:undated AS uuid)) "
    "AND occurred_at >= :since AND occurred_at <= :until "
    "AND coalesce(events.user_id, events.anonymous_id) IS NOT NULL"
)
#: The order in which things happened, as far as times tell; then of ids and places.
IN_ORDER = "ORDER BY occurred_at, event_id, place"

#: All interactions from :since to :until, as training reads them.
INTERACTIONS: TextClause = text(
    "SELECT user_id, product_id, weight, occurred_at, bought, session_id "
    f"FROM ({lines_sql(IN_BOUNDS)}) AS interaction {IN_ORDER}"
)

#: The relation of the catalogue as training reads it: products, and those that only events know.
CATALOGUE_SQL = """
SELECT product_id, p.name, p.category, CAST(p.price AS float8) AS price, p.gender, p.color,
    p.material, p.size,
    CAST(nullif(round(m.rating_sum / nullif(m.rating_count, 0), 6), 'NaN') AS float8) AS avg_rating,
    coalesce(m.rating_count, 0) AS review_count
FROM products AS p FULL JOIN product_metrics AS m USING (product_id)
WHERE p.product_id IS NULL OR p.active"""

CATALOGUE_ROWS: TextClause = text(f"{CATALOGUE_SQL} ORDER BY product_id")


def interaction_bounds(since: datetime, until: datetime) -> dict[str, object]:
    """Give the parameters of INTERACTIONS."""
    low = first_id_of(since.date() - timedelta(days=ID_DAY_MARGIN))
    return {"since": since, "until": until, "low": low, "undated": UNDATED_END}
