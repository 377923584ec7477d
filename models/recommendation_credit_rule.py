"""The rule of credit, in one statement that takes each event once, in the order of time.

Lists that are told time and again and clicks without end are met by sorting them, never by joining
each with all others: what came last before an event is a running maximum over the events of the
same person, list and product.
"""

from __future__ import annotations

from event_types import types_by_counter
from models.recommendation_lines import IS_SHOWN, UNLISTED, lines_sql, told_sql

CLICK_WINDOW = "interval '30 minutes'"
PURCHASE_WINDOW = "interval '7 days'"
#: A rec_purchased and a purchase of the same product by the same person tell of one order line when
#: they lie no further apart than this, or no further than SAME_ORDER with the same order id.
SAME_MOMENT = "interval '10 minutes'"
SAME_ORDER = "interval '12 hours'"

_SIDES = ("placement", "position", "rung", "model_version")
_PLACE = ", ".join(_SIDES)
_ORDER_ID = (
    "coalesce(properties ->> 'order_id', properties ->> 'orderId', "
    "properties ->> 'transaction_id', CASE WHEN entity_type = 'order' THEN entity_id END)"
)


def count_credit_sql(source: str) -> str:
    """Write the SELECT of the rows of each day from a relation of events.

    A day's rows are whole where the relation has the events from EARLIER to LATER around it
    (`models/recommendation_credit.py`).
    """
    unlisted = f"placement, position, '{UNLISTED}', 0"
    return f"""
WITH clicked AS MATERIALIZED ({lines_sql(told_sql(source, "event_type = 'rec_clicked'"))}
), followed AS MATERIALIZED (
    SELECT * FROM clicked
    WHERE list IS NOT NULL AND person IS NOT NULL AND product_id IS NOT NULL
), {_credited_clicks(source)}, {_order_lines(source)}, {_cohort()}
SELECT day, placement, position, rung, model_version, sum(clicked)::bigint AS clicked,
    sum(purchased)::bigint AS purchased, sum(converted)::bigint AS converted,
    sum(revenue) AS revenue
FROM (
    SELECT day, {_PLACE}, 1 AS clicked, purchased, CAST(purchased > 0 AS int) AS converted,
        revenue
    FROM cohort
    UNION ALL
    SELECT day, {unlisted}, 1, 0, 0, 0 FROM clicked WHERE list IS NULL
    UNION ALL
    SELECT day, {unlisted}, 0, 1, 1, coalesce(value, 0)
    FROM ({lines_sql(told_sql(source, "event_type = 'rec_purchased'"))}) AS bought
    WHERE list IS NULL
) AS earned
GROUP BY 1, 2, 3, 4, 5"""


def _credited_clicks(source: str) -> str:
    """Write `credited`: clicks soon enough after a showing, with its day and its first place."""
    line = f"person, list, product_id, day, occurred_at, event_id, place, {_PLACE}"
    return f"""
showings AS MATERIALIZED (
    SELECT * FROM ({told_sql(source, IS_SHOWN)}) AS told
    WHERE (list, person) IN (SELECT list, person FROM followed)
), shown AS (
    SELECT * FROM ({lines_sql("SELECT * FROM showings")}) AS line
    WHERE (list, person, product_id) IN (SELECT list, person, product_id FROM followed)
), met AS (
    SELECT *, max(occurred_at) FILTER (WHERE NOT is_click) OVER before AS shown_at,
        max(day) FILTER (WHERE NOT is_click) OVER before AS shown_on
    FROM (SELECT {line}, false AS is_click FROM shown
          UNION ALL SELECT {line}, true FROM followed) AS line
    WINDOW before AS (PARTITION BY person, list, product_id ORDER BY occurred_at, is_click)
), placed AS (
    SELECT person, list, product_id, occurred_at, event_id, place, is_click, shown_at, shown_on,
        {_first_of("of_day", *_SIDES)}
    FROM met WHERE shown_on IS NOT NULL
    WINDOW of_day AS (PARTITION BY person, list, product_id, shown_on
                      ORDER BY occurred_at, is_click, event_id, place)
), credited AS MATERIALIZED (
    SELECT person, product_id, occurred_at, event_id, place, shown_on AS day, list, {_PLACE}
    FROM placed WHERE is_click AND occurred_at <= shown_at + {CLICK_WINDOW}
)"""


def _order_lines(source: str) -> str:
    """Write `bought`: the order lines of products that were clicked, each told once.

    A purchase says what was paid, so of two tellings of one line it is kept.
    """
    sales = ", ".join(f"'{name}'" for name in types_by_counter()["sales", 1])
    told = told_sql(
        source,
        f"event_type IN ('rec_purchased', {sales})",
        more=f", {_ORDER_ID} AS order_id, event_type = 'rec_purchased' AS is_word",
    )
    near, same = (
        f"ORDER BY occurred_at RANGE BETWEEN {reach} PRECEDING AND {reach} FOLLOWING"
        for reach in (SAME_MOMENT, SAME_ORDER)
    )
    return f"""
orders AS MATERIALIZED (
    SELECT * FROM ({told}) AS told
    WHERE person IN (SELECT person FROM credited) AND (list IS NOT NULL OR NOT is_word)
), bought AS (
    SELECT * FROM (
        SELECT *,
            count(*) FILTER (WHERE NOT is_word) OVER near AS near,
            count(*) FILTER (WHERE NOT is_word AND order_id IS NULL) OVER near AS near_unnamed,
            count(*) FILTER (WHERE NOT is_word) OVER same AS same
        FROM ({lines_sql("SELECT * FROM orders", more=", order_id, is_word")}) AS line
        WHERE (person, product_id) IN (SELECT person, product_id FROM credited)
        WINDOW near AS (PARTITION BY person, product_id {near}),
            same AS (PARTITION BY person, product_id, order_id {same})
    ) AS line
    WHERE NOT is_word
        OR CASE WHEN order_id IS NULL THEN near ELSE near_unnamed + same END = 0
)"""


def _cohort() -> str:
    """Write `cohort`: each product shown that was clicked, with what its last clicks led to."""
    return f"""
steps AS (
    SELECT *, count(*) FILTER (WHERE NOT is_order) OVER (
        PARTITION BY person, product_id ORDER BY occurred_at, is_order, event_id, place) AS click
    FROM (
        SELECT person, product_id, occurred_at, event_id, place, day, list, {_PLACE},
            CAST(0 AS numeric) AS value, false AS is_order
        FROM credited
        UNION ALL
        SELECT person, product_id, occurred_at, event_id, place, NULL, NULL, NULL, NULL, NULL,
            NULL, value, true
        FROM bought
    ) AS step
), attributed AS (
    SELECT person, product_id, is_order, value, occurred_at,
        first_value(occurred_at) OVER since AS clicked_at,
        {_first_of("since", "day", "list", *_SIDES)}
    FROM steps WHERE click > 0
    WINDOW since AS (PARTITION BY person, product_id, click ORDER BY is_order)
), cohort AS (
    SELECT day, {_PLACE},
        count(*) FILTER (WHERE is_order) AS purchased, coalesce(sum(value), 0) AS revenue
    FROM attributed WHERE occurred_at <= clicked_at + {PURCHASE_WINDOW}
    GROUP BY day, list, person, product_id, {_PLACE}
)"""


def _first_of(window: str, *columns: str) -> str:
    return ", ".join(f"first_value({name}) OVER {window} AS {name}" for name in columns)
