"""Daily product metrics: the counters of each product on each day, replaced whole."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.product_metrics import COUNTERS, CounterColumns, counts_sql
from models.traffic import ALL


class DailyProductMetrics(CounterColumns, Base):
    """Count one product's events of one day."""

    __tablename__ = "daily_product_metrics"
    __table_args__ = (Index("ix_daily_product_metrics_product", "product_id", "day"),)

    day: Mapped[date] = mapped_column(primary_key=True)
    product_id: Mapped[str] = mapped_column(primary_key=True)


def count_products_by_day_sql(source: str) -> str:
    """Write the SELECT of (day, product_id, counters) of a relation of events that all count."""
    counted = counts_sql(source, extra_key="day", traffic=ALL)
    return f"SELECT key AS day, product_id, {', '.join(COUNTERS)} FROM ({counted}) AS counted"
