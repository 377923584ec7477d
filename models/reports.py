"""The figures of the reports, from aggregates where they are current and from events where not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from models.daily_aggregates import (
    DailyAggregate,
    DailyTotal,
    count_days_sql,
    count_types_sql,
    day_bounds,
    events_of_days_sql,
    read_sealed_through,
)
from models.daily_product_metrics import DailyProductMetrics, count_products_by_day_sql
from models.dirty_days import DirtyDay
from models.products import Product

TOP = 10

#: The columns of an export. The first are a contract with those who read such files already.
EXPORT_COLUMNS = (
    "id",
    "created_at",
    "event_type",
    "user_id",
    "anonymous_id",
    "source",
    "ip_address",
    "payload",
    "received_at",
    "event_category",
    "event_action",
    "session_id",
    "device_type",
    "product_id",
    "entity_type",
    "entity_id",
    "items",
    "quantity",
    "value",
    "duration_ms",
    "message_id",
    "user_agent",
    "context",
)
# JSON stays text: read and written again, it would lose digits of its numbers.
_EXPORTED = {
    "id": "event_id",
    "created_at": "occurred_at",
    "payload": "CAST(properties AS text)",
    "items": "CAST(items AS text)",
    "context": "CAST(context AS text)",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """One day's figures and where they are from."""

    total: Any
    types: list[Any]
    products: list[Any]
    source: str


def read_day(session: Session, day: date, *, zone: str) -> Figures:
    """Read one day's figures: the aggregates unless the day has events they do not know."""
    total = session.get(DailyTotal, day)
    dirty = session.scalar(select(DirtyDay.mark).where(DirtyDay.day == day).limit(1))
    if total is not None and (dirty is None or total.sealed_at is not None):
        return _from_aggregates(session, total)
    return _from_events(session, day, zone=zone)


def read_people(session: Session, first: date, last: date, *, zone: str) -> tuple[int, int] | None:
    """Count the different users, and the different anonymous ids without a user, of some days.

    One purged day is answered from its total. Of several nobody can tell any more who came on
    more than one of them: None.
    """
    sealed = read_sealed_through(session)
    if sealed is not None and first <= sealed:
        if first != last:
            return None
        total = session.get(DailyTotal, first)
        return (total.unique_users, total.unique_anonymous) if total else (0, 0)
    row = session.execute(
        text(
            "SELECT count(DISTINCT user_id), count(DISTINCT anonymous_id) "
            f"FILTER (WHERE user_id IS NULL) FROM {events_of_days_sql()}"
        ),
        day_bounds(first, last, zone=zone),
    ).one()
    return row[0], row[1]


def stream_events(
    engine: Engine, day: date, *, zone: str, event_type: str | None, limit: int
) -> Iterator[tuple[Any, ...]]:
    """Give the rows of an export one after the other, in constant memory."""
    columns = ", ".join(_EXPORTED.get(name, name) for name in EXPORT_COLUMNS)
    where = "" if event_type is None else "WHERE event_type = :event_type"
    statement = text(
        f"SELECT {columns} FROM {events_of_days_sql()} {where} ORDER BY event_id LIMIT :limit"
    )
    bounds = {**day_bounds(day, day, zone=zone), "limit": limit}
    if event_type is not None:
        bounds["event_type"] = event_type
    with engine.connect() as connection:
        rows = connection.execution_options(yield_per=2000).execute(statement, bounds)
        for row in rows:
            yield tuple(row)


def _from_aggregates(session: Session, total: DailyTotal) -> Figures:
    types = session.scalars(
        select(DailyAggregate)
        .where(DailyAggregate.day == total.day)
        .order_by(DailyAggregate.events.desc(), DailyAggregate.event_type)
    ).all()
    products = session.execute(
        select(
            DailyProductMetrics.product_id,
            Product.name,
            DailyProductMetrics.total_views.label("views"),
            DailyProductMetrics.total_sales.label("sales"),
            DailyProductMetrics.total_revenue.label("revenue"),
        )
        .outerjoin(Product, Product.product_id == DailyProductMetrics.product_id)
        .where(DailyProductMetrics.day == total.day)
        .order_by(
            DailyProductMetrics.total_revenue.desc(),
            DailyProductMetrics.total_views.desc(),
            DailyProductMetrics.product_id,
        )
        .limit(TOP)
    ).all()
    return Figures(total, list(types), list(products), "aggregates")


def _from_events(session: Session, day: date, *, zone: str) -> Figures:
    bounds = day_bounds(day, day, zone=zone)
    total = session.execute(
        text(
            "SELECT coalesce(max(events), 0) AS events, coalesce(max(users), 0) AS unique_users, "
            "coalesce(max(anonymous), 0) AS unique_anonymous "
            f"FROM ({count_days_sql(events_of_days_sql())}) "
            "AS counted(day, events, users, anonymous)"
        ),
        bounds,
    ).one()
    types = session.execute(
        text(
            f"SELECT * FROM ({count_types_sql(events_of_days_sql())}) "
            "AS counted(day, event_type, source, events, unique_users, unique_anonymous) "
            "ORDER BY events DESC, event_type"
        ),
        bounds,
    ).all()
    products = session.execute(
        text(
            "SELECT counted.product_id, name, total_views AS views, total_sales AS sales, "
            f"total_revenue AS revenue FROM ({count_products_by_day_sql()}) AS counted "
            "LEFT JOIN products USING (product_id) "
            "ORDER BY total_revenue DESC, total_views DESC, counted.product_id LIMIT :top"
        ),
        {**bounds, "top": TOP},
    ).all()
    return Figures(total, list(types), list(products), "events")


def periods_of(day: date) -> dict[str, tuple[date, date]]:
    """Give the day, week and month that end with a day, as first and last day."""
    return {
        "day": (day, day),
        "week": (day - timedelta(days=6), day),
        "month": (day - timedelta(days=29), day),
    }
