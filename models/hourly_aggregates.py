"""Hourly aggregates: events per hour, type and source, replaced whole with their day."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.days import UNSEALED


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


def count_hours_sql(source: str) -> str:
    """Write the SELECT of (day, hour, event_type, source, events) of a relation.

    PostgreSQL keeps the offset of the moment whose hour it begins: the hour that a clock shows
    twice when summer time ends is two hours.
    """
    return f"""
SELECT day, date_trunc('hour', occurred_at, :zone) AS hour, event_type,
    coalesce(source, '') AS source, count(*) AS events
FROM {source} GROUP BY 1, 2, 3, 4"""


def read_days_of_other_zones(session: Session, *, zone: str) -> tuple[date, date] | None:
    """Give the first and the last unsealed day that was aggregated in another zone, if any was.

    An hour that this zone has on another day tells.
    """
    first, last = session.execute(
        text(
            "SELECT min(day), max(day) FROM hourly_aggregates "
            f"WHERE (hour AT TIME ZONE :zone)::date <> day AND {UNSEALED}"
        ),
        {"zone": zone},
    ).one()
    return None if first is None else (first, last)
