"""Interactions: who met which product, how strongly and when, read from events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from event_ids import ID_DAY_MARGIN, first_id_of
from event_types import CATALOGUE, types_by_counter
from models.daily_aggregates import UNDATED_END
from models.identities import read_linked_ids
from models.traffic import is_counted_sql

_WEIGHTS = {name: kind.weight for name, kind in CATALOGUE.items() if kind.weight > 0}
_TYPES = ", ".join(f"'{name}'" for name in _WEIGHTS)
_BOUGHT = ", ".join(f"'{name}'" for name in types_by_counter()["sales", 1])
_WEIGHT = "CASE event_type {} END".format(
    " ".join(f"WHEN '{name}' THEN {weight}" for name, weight in _WEIGHTS.items())
)
# Five stars count in full, one star a fifth.
_RATED = (
    f"CASE WHEN event_type = 'rate' AND value IS NOT NULL THEN value / 5.0 ELSE 1 END * {_WEIGHT}"
)


def _lines(condition: str) -> str:
    """Write the SELECT of one line for each product of each event that shows interest.

    In the order in which things happened, as far as times tell; then of ids and places.
    """
    picked = f"event_type IN ({_TYPES}) AND {condition} AND {is_counted_sql()}"
    return f"""
SELECT user_id, product_id, weight, occurred_at FROM (
    SELECT coalesce(user_id, anonymous_id) AS user_id, product_id, {_RATED} AS weight, occurred_at,
        event_id, 0 AS place
    FROM events WHERE {picked} AND product_id IS NOT NULL AND items IS NULL
    UNION ALL
    SELECT coalesce(user_id, anonymous_id), item ->> 'product_id', {_WEIGHT}, occurred_at,
        event_id, place
    FROM events CROSS JOIN LATERAL jsonb_array_elements(items) WITH ORDINALITY AS each(item, place)
    WHERE {picked} AND items IS NOT NULL AND item ->> 'product_id' IS NOT NULL
) AS line ORDER BY occurred_at, event_id, place"""


_SINCE = (
    "(event_id >= CAST(:low AS uuid) OR event_id < CAST(:undated AS uuid)) "
    "AND occurred_at >= :since AND occurred_at <= :until "
    "AND coalesce(user_id, anonymous_id) IS NOT NULL"
)

#: All interactions from :since to :until: user_id, product_id, weight, occurred_at.
INTERACTIONS: TextClause = text(_lines(_SINCE))

#: The catalogue as training reads it: products, and those that only events know.
CATALOGUE_ROWS: TextClause = text(
    """
SELECT product_id, p.name, p.category, CAST(p.price AS float8) AS price, p.gender, p.color,
    p.material, p.size,
    CAST(m.rating_sum / nullif(m.rating_count, 0) AS float8) AS avg_rating,
    coalesce(m.rating_count, 0) AS review_count
FROM products AS p FULL JOIN product_metrics AS m USING (product_id)
WHERE p.product_id IS NULL OR p.active
ORDER BY product_id"""
)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing a person did with a product."""

    product_id: str
    weight: float
    occurred_at: datetime
    bought: bool


def interaction_bounds(since: datetime, until: datetime) -> dict[str, object]:
    """Give the parameters of INTERACTIONS."""
    low = first_id_of(since.date() - timedelta(days=ID_DAY_MARGIN))
    return {"since": since, "until": until, "low": low, "undated": UNDATED_END}


def read_history(
    session: Session, column: str, person: str, *, since: datetime, limit: int = 500
) -> Sequence[Line]:
    """Give what a person did with products lately, newest first.

    `column` is user_id or anonymous_id; with a user comes what was done with the anonymous ids
    that are linked to them. It is read from the events, so an event stored now changes the next
    list.
    """
    if column not in ("user_id", "anonymous_id"):
        raise ValueError(f"column must be user_id or anonymous_id, got {column!r}")
    low = first_id_of(since.date() - timedelta(days=ID_DAY_MARGIN))
    linked = read_linked_ids(session, person) if column == "user_id" else []
    theirs = f"{column} = :person"
    if linked:
        theirs = f"({theirs} OR user_id IS NULL AND anonymous_id = ANY(:linked))"
    rows = session.execute(
        text(
            f"""
SELECT coalesce(item.product_id, e.product_id) AS product_id, e.weight, e.occurred_at,
    e.event_type IN ({_BOUGHT}) AS bought
FROM (
    SELECT product_id, items, event_type, occurred_at, {_RATED} AS weight FROM events
    WHERE {theirs} AND event_type IN ({_TYPES}) AND {is_counted_sql()} AND occurred_at >= :since
        AND (event_id >= CAST(:low AS uuid) OR event_id < CAST(:undated AS uuid))
    ORDER BY occurred_at DESC LIMIT :limit
) AS e LEFT JOIN LATERAL jsonb_to_recordset(e.items) AS item(product_id text) ON true
WHERE coalesce(item.product_id, e.product_id) IS NOT NULL
ORDER BY e.occurred_at DESC"""
        ),
        {
            "person": person,
            "linked": linked,
            "since": since,
            "low": low,
            "undated": UNDATED_END,
            "limit": limit,
        },
    )
    return [Line(row.product_id, float(row.weight), row.occurred_at, row.bought) for row in rows]
