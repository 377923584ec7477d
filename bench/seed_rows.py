"""The rows of a seeded day, made by PostgreSQL: visits of skewed people to skewed products."""

from __future__ import annotations

from itertools import accumulate

from event_types import category_and_action

#: How frequent the types are, of a thousand events.
WEIGHTS = {
    "product_view": 330,
    "page_view": 200,
    "product_list_view": 100,
    "product_click": 80,
    "search": 80,
    "add_to_cart": 60,
    "rec_shown": 50,
    "favorite_add": 25,
    "purchase": 22,
    "remove_from_cart": 15,
    "rec_clicked": 10,
    "rate": 10,
    "login": 10,
    "refund": 3,
    "rec_purchased": 3,
    "booking_created": 2,
}
WITHOUT_PRODUCT = ("page_view", "search", "login", "booking_created", "product_list_view")
_VALUED = ("purchase", "refund", "rate")
_RECOMMENDED = ("rec_shown", "rec_clicked", "rec_purchased")
_LIST = 5
_SERVICES = 50
#: Of 32 events in a row: which one a visit begins with, and how many it has.
_VISITS = ((0, 1), (1, 1), (2, 2), (4, 3), (7, 5), (12, 8), (20, 12))
_LONGEST_VISIT_MS = 600_000


def rows_sql(table: str) -> str:
    """Write the INSERT of one day's rows, in the order of their ids.

    Its parameters: events, day_ms (the day's first millisecond), span_ms (how much of the day),
    people, products, and seed, which with the database's own seed makes the ids.
    """
    kinds = list(WEIGHTS)
    described = [category_and_action(kind) for kind in kinds]
    total = sum(WEIGHTS.values())
    bounds = ",".join(str(bound / total) for bound in list(accumulate(WEIGHTS.values()))[:-1])
    return f"""
INSERT INTO {table} (event_id, occurred_at, received_at, duration_ms, quantity, value, event_type,
    event_category, event_action, user_id, anonymous_id, session_id, source, device_type,
    product_id, ip_address, user_agent, items, properties, context)
WITH visits AS MATERIALIZED (
    SELECT block * 32 + begin AS first, events, :day_ms
            + floor((:span_ms - {_LONGEST_VISIT_MS}) * (at + 0.12 * sin(2 * pi() * at)))::bigint
            AS begins_ms,
        person, CASE WHEN person % 5 < 2 THEN 'u-' || lpad(person::text, 6, '0') END AS user_id,
        md5('anonymous' || person)::uuid::text AS anonymous_id
    FROM (SELECT block, begin, events, random() AS at,
            floor(:people * power(random(), 3))::int AS person
        FROM generate_series(0, (:events - 1) / 32) AS block
        CROSS JOIN (VALUES {", ".join(map(str, _VISITS))}) AS visit(begin, events)
    ) AS drawn
), steps AS (
    SELECT visits.*, (visit_step * 45000 + random() * 30000)::int + begins_ms AS at_ms,
        first + visit_step AS number,
        width_bucket(random(), ARRAY[{bounds}]::float8[]) + 1 AS kind,
        floor(:products * power(random(), 3))::int AS product,
        floor({_SERVICES} * power(random(), 2))::int AS service, random() AS chance
    FROM visits CROSS JOIN LATERAL generate_series(0, visits.events - 1) AS visit_step
    WHERE first + visit_step < :events
), named AS (
    SELECT steps.*, (ARRAY[{_texts(kinds)}])[kind] AS event_type,
        (ARRAY[{_texts([category for category, _ in described])}])[kind] AS category,
        (ARRAY[{_texts([action for _, action in described])}])[kind] AS action,
        md5(:seed || at_ms || '-' || number) AS hash, to_timestamp(at_ms / 1000.0) AS occurred_at,
        round((product * 37 % 9000 + 99) / 100.0, 2) AS price
    FROM steps
)
SELECT (lpad(to_hex(at_ms), 12, '0') || '7' || substr(hash, 1, 3) || 'a' || substr(hash, 4, 15)
        )::uuid,
    occurred_at, occurred_at + interval '250 ms',
    CASE WHEN event_type = 'page_view' THEN (chance * 60000)::int END,
    CASE WHEN event_type IN ('purchase', 'refund') THEN 1 + person % 3 END,
    CASE WHEN event_type = 'rate' THEN 1 + person % 5
        WHEN event_type IN ({_texts(_VALUED)}) THEN price * (1 + person % 3) END,
    event_type, category, action, user_id, anonymous_id, 's-' || begins_ms || '-' || first,
    CASE person % 4 WHEN 0 THEN 'android' WHEN 1 THEN 'ios' ELSE 'web' END,
    CASE person % 4 WHEN 2 THEN 'desktop' ELSE 'mobile' END,
    CASE WHEN event_type NOT IN ({_texts(WITHOUT_PRODUCT)}) THEN {_product("product")} END,
    '203.0.113.0', 'Mozilla/5.0 (seeded)',
    CASE WHEN event_type = 'product_list_view' THEN ({_list_sql()})::jsonb END,
    ('{{"service_id":"service-' || service || '","currency":"EUR","price":' || price
        || CASE WHEN event_type IN ({_texts(_RECOMMENDED)})
            THEN ',"placement":"home","position":' || 1 + (chance * 9)::int ELSE '' END
        || CASE WHEN event_type = 'search'
            THEN ',"query":"word ' || product % 500 || '"' ELSE '' END
        || '}}')::jsonb,
    ('{{"page":"/products/' || product || '","locale":"en-GB"}}')::jsonb
FROM named ORDER BY at_ms, hash"""


def _list_sql() -> str:
    items = " || ',' || ".join(
        f"""'{{"product_id":"' || {_product(f"(product + {place}) % :products")} """
        f"""|| '","position": {place + 1}}}'"""
        for place in range(_LIST)
    )
    return f"'[' || {items} || ']'"


def _product(number: str) -> str:
    return f"'p-' || lpad(({number})::text, 5, '0')"


def _texts(values: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)
