"""Hourly aggregates: events per hour, type and source, replaced whole with their day."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class HourlyAggregate(Base):
    """Count one hour's events of one type from one source. No source is the empty text.

    `day` is the day in the reporting zone that the hour belongs to, `hour` the hour's beginning in
    that zone as a moment.
    """

    __tablename__ = "hourly_aggregates"

    day: Mapped[date] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    event_type: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)
