"""Daily product metrics: the counters of each product on each day, replaced whole."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Index, delete, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.daily_aggregates import day_bounds, events_of_days_sql
from models.product_metrics import COUNTERS, CounterColumns, counts_sql


class DailyProductMetrics(CounterColumns, Base):
    """Count one product's events of one day."""

    __tablename__ = "daily_product_metrics"
    __table_args__ = (Index("ix_daily_product_metrics_product", "product_id", "day"),)

    day: Mapped[date] = mapped_column(primary_key=True)
    product_id: Mapped[str] = mapped_column(primary_key=True)


def count_products_by_day_sql() -> str:
    """Write the SELECT of (day, product_id, counters) over the bounds of `day_bounds`."""
    names = ", ".join(COUNTERS)
    counted = counts_sql("picked", extra_key="day")
    return (
        f"WITH picked AS MATERIALIZED (SELECT * FROM {events_of_days_sql()}) "
        f"SELECT key AS day, product_id, {names} FROM ({counted}) AS counted"
    )


def replace_daily_product_metrics(session: Session, first: date, last: date, *, zone: str) -> int:
    """Replace the product counters of the days first to last by a recount; give the rows written.

    Sealed days are left as they are.
    """
    sealed = "SELECT day FROM daily_totals WHERE sealed_at IS NOT NULL"
    session.execute(
        delete(DailyProductMetrics).where(
            DailyProductMetrics.day.between(first, last), text(f"day NOT IN ({sealed})")
        )
    )
    result = session.execute(
        text(
            f"INSERT INTO daily_product_metrics (day, product_id, {', '.join(COUNTERS)}) "
            f"SELECT * FROM ({count_products_by_day_sql()}) AS counted "
            f"WHERE day NOT IN ({sealed}) RETURNING 1"
        ),
        day_bounds(first, last, zone=zone),
    )
    return len(result.all())
