"""The summary of one day: events, people, types, products."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from event_types import types_by_counter
from models.daily_aggregates import count_days_sql, count_types_sql
from models.daily_product_metrics import count_products_by_day_sql
from models.reports.days import Days, From, read_days
from models.reports.excluded import read_excluded
from models.traffic import ALL, COUNTED, Traffic

TOP = 10
_TYPES = "day, event_type, source, events, unique_users, unique_anonymous"
_PRODUCTS = "day, product_id, total_views, total_sales, total_revenue"
_PEOPLE = "day, events, unique_users, unique_anonymous"
#: The counters of _PRODUCTS, as the catalogue of event types names them.
_SHOWN = ("views", "sales")


@dataclass(frozen=True, slots=True)
class Figures:
    """One day's figures and where they are from."""

    events: int
    unique_users: int
    unique_anonymous: int
    types: list[Any]
    products: list[Any]
    #: Events that are not among these, by the reason.
    excluded: dict[str, int]
    source: From


def read_day(session: Session, day: date, *, zone: str, traffic: Traffic = COUNTED) -> Figures:
    """Read one day's figures: the aggregates unless the day has events they do not know."""
    days = read_days(session, day, day, zone=zone, traffic=traffic)
    types = _read_types(session, days)
    people = _read_people(session, days)
    return Figures(
        events=sum(row.events for row in types),
        unique_users=people.unique_users,
        unique_anonymous=people.unique_anonymous,
        types=types,
        products=_read_products(session, days),
        excluded={} if traffic == ALL else read_excluded(session, days).by_reason,
        source=days.source,
    )


def _read_people(session: Session, days: Days) -> Any:
    rows = days.rows_sql("daily_totals", _PEOPLE, count_days_sql)
    sums = ", ".join(
        f"coalesce(sum({name}), 0)::bigint AS {name}"
        for name in ("unique_users", "unique_anonymous")
    )
    return session.execute(text(f"SELECT {sums} FROM {rows}"), days.parameters()).one()


def _read_types(session: Session, days: Days) -> list[Any]:
    rows = days.rows_sql("daily_aggregates", _TYPES, count_types_sql)
    found = session.execute(
        text(f"SELECT * FROM {rows} ORDER BY events DESC, event_type, source"), days.parameters()
    )
    return list(found.all())


def _read_products(session: Session, days: Days) -> list[Any]:
    rows = days.rows_sql("daily_product_metrics", _PRODUCTS, _count_shown)
    found = session.execute(
        text(
            "SELECT top.*, name FROM ("
            "SELECT product_id, total_views AS views, total_sales AS sales, "
            f"total_revenue AS revenue FROM {rows} "
            "WHERE total_views <> 0 OR total_sales <> 0 OR total_revenue <> 0 "
            "ORDER BY total_revenue DESC, total_views DESC, product_id LIMIT :top"
            ") AS top LEFT JOIN products USING (product_id) "
            "ORDER BY revenue DESC, views DESC, product_id"
        ),
        days.parameters(top=TOP),
    )
    return list(found.all())


def _count_shown(events: str) -> str:
    # Most events of a day move none of these counters, and the others are looked at twice.
    types = (names for (counter, _), names in types_by_counter().items() if counter in _SHOWN)
    listed = ", ".join(f"'{name}'" for names in types for name in names)
    return f"""
WITH moving AS MATERIALIZED (
    SELECT day, event_type, product_id, quantity, value, items, occurred_at FROM {events}
    WHERE event_type IN ({listed})
) {count_products_by_day_sql("moving")}"""
