"""Product metrics: lifetime counters per product, and the one rule by which events move them.

The same SQL turns events into counts when they are stored, when a day is aggregated, when events
are purged and when the counters are checked; so the four cannot disagree by construction.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Numeric, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from event_types import types_by_counter
from models.base import Base
from models.traffic import COUNTED, Traffic, is_counted_sql


class CounterColumns:
    """The counters a product has. Rates are computed from them, never stored."""

    total_impressions: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total_views: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total_clicks: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total_favorites: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total_cart_additions: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total_cart_removals: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total_sales: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total_revenue: Mapped[Decimal] = mapped_column(Numeric, server_default=text("0"))
    rating_sum: Mapped[Decimal] = mapped_column(Numeric, server_default=text("0"))
    rating_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    position_sum: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    position_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class ProductMetrics(CounterColumns, Base):
    """Lifetime counters of one product. A purge does not lower them."""

    __tablename__ = "product_metrics"
    # Counters are updated in place: free room in each page lets PostgreSQL do so without
    # touching the index (heap-only tuples).
    __table_args__ = ({"postgresql_with": {"fillfactor": 50}},)

    product_id: Mapped[str] = mapped_column(primary_key=True)
    last_event_at: Mapped[datetime | None]


class PurgedProductMetrics(CounterColumns, Base):
    """What purged events had added to the counters of one product: counter = stored + purged."""

    __tablename__ = "purged_product_metrics"

    product_id: Mapped[str] = mapped_column(primary_key=True)


COUNTERS = (
    "total_impressions",
    "total_views",
    "total_clicks",
    "total_favorites",
    "total_cart_additions",
    "total_cart_removals",
    "total_sales",
    "total_revenue",
    "rating_sum",
    "rating_count",
    "position_sum",
    "position_count",
)

#: Counters that an event without items moves by one, whatever else it holds.
ONE_EACH = {
    "impressions": "total_impressions",
    "views": "total_views",
    "clicks": "total_clicks",
    "favorites": "total_favorites",
    "cart_additions": "total_cart_additions",
    "cart_removals": "total_cart_removals",
}


def counts_sql(source: str, *, extra_key: str | None = None, traffic: Traffic = COUNTED) -> str:
    """Write the SELECT that counts events per product.

    `source` is a relation with the columns event_type, product_id, quantity, value, items,
    occurred_at and, unless all of its `traffic` counts, excluded; `extra_key` an expression to
    group by as well (named `key`). An event with items counts once for each of them, one without
    for its product_id. A refund takes units and money off. An impression adds its place in the
    list, where it has one.
    """
    key = f"{extra_key} AS key, " if extra_key else ""
    group = "key, product_id" if extra_key else "product_id"
    outer_key = "key, " if extra_key else ""
    counted = is_counted_sql(traffic)
    return f"""
SELECT {outer_key}product_id,
    {", ".join(f"{_count(moved)} AS {column}" for moved, column in ONE_EACH.items())},
    {_sum("sales", "coalesce(quantity, 1)")}::bigint AS total_sales,
    {_sum("sales", "coalesce(value, 0)")} AS total_revenue,
    {_sum("ratings", "coalesce(value, 0)")} AS rating_sum,
    count(*) FILTER (WHERE {_is("ratings", 1)} AND value IS NOT NULL) AS rating_count,
    {_sum("impressions", "position")}::bigint AS position_sum,
    count(*) FILTER (WHERE {_is("impressions", 1)} AND position IS NOT NULL) AS position_count,
    max(occurred_at) AS last_event_at
FROM (
    SELECT {key}event_type, product_id, quantity, value, occurred_at, NULL::int AS position
    FROM {source} WHERE product_id IS NOT NULL AND items IS NULL AND {counted}
    UNION ALL
    SELECT {key}event_type, item.product_id, item.quantity, item.value, occurred_at, item.position
    FROM {source} CROSS JOIN LATERAL jsonb_to_recordset(items)
        AS item(product_id text, quantity int, value numeric, position int)
    WHERE items IS NOT NULL AND item.product_id IS NOT NULL AND {counted}
) AS line
GROUP BY {group}"""


def add_counts_sql(table: str, counts: str) -> str:
    """Write the upsert that adds a relation of counts to a counter table.

    Rows are written in the order of their product: unsorted upserts of two workers deadlock.
    """
    dated = table == ProductMetrics.__tablename__
    columns = (*COUNTERS, "last_event_at") if dated else COUNTERS
    names = ", ".join(columns)
    sums = ", ".join(f"{name} = old.{name} + excluded.{name}" for name in COUNTERS)
    if dated:
        sums += ", last_event_at = greatest(old.last_event_at, excluded.last_event_at)"
    return f"""
INSERT INTO {table} AS old (product_id, {names})
SELECT product_id, {names} FROM {counts} ORDER BY product_id
ON CONFLICT (product_id) DO UPDATE SET {sums}"""


def ensure_metrics(session: Session, product_id: str) -> int:
    """Make the metrics row of a product unless it is there; give how many were made, 0 or 1."""
    return bulk_ensure_metrics(session, [product_id])


def bulk_ensure_metrics(session: Session, product_ids: Collection[str]) -> int:
    """Make the metrics rows that are missing, in one statement; give how many were made.

    Rows that others make or count into at the same time stay as they are. Like the counts, they
    are written in the order of their product.
    """
    if not product_ids:
        return 0
    made = session.execute(
        text(
            "INSERT INTO product_metrics (product_id) "
            "SELECT DISTINCT product_id FROM unnest(CAST(:ids AS text[])) AS given(product_id) "
            "ORDER BY product_id ON CONFLICT (product_id) DO NOTHING RETURNING 1"
        ),
        {"ids": list(product_ids)},
    )
    return len(made.all())


def _types(counter: str, sign: int) -> list[str]:
    return [
        name
        for (moved, direction), names in types_by_counter().items()
        if moved == counter and direction == sign
        for name in names
    ]


def _is(counter: str, sign: int) -> str:
    names = ", ".join(f"'{name}'" for name in _types(counter, sign))
    return f"event_type IN ({names})"


def _count(counter: str) -> str:
    return f"count(*) FILTER (WHERE {_is(counter, 1)})"


def _sum(counter: str, amount: str) -> str:
    plus = f"coalesce(sum({amount}) FILTER (WHERE {_is(counter, 1)}), 0)"
    if not _types(counter, -1):
        return plus
    return f"({plus} - coalesce(sum({amount}) FILTER (WHERE {_is(counter, -1)}), 0))"
