"""Dirty days: which days have events that their aggregates do not know yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import BigInteger, Identity, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base


class DirtyDay(Base):
    """Mark a day. Each store adds marks of its own; the aggregation takes away those it saw."""

    __tablename__ = "dirty_days"

    mark: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    day: Mapped[date]


def read_dirty_days(session: Session) -> list[date]:
    """List the days that wait for aggregation, oldest first."""
    return list(session.scalars(select(DirtyDay.day).distinct().order_by(DirtyDay.day)))


def take_marks(session: Session, days: Sequence[date]) -> int:
    """Delete the marks of some days that are visible now; give how many.

    Take them before the events are counted: a store that commits in between leaves its own mark,
    and the day is counted again.
    """
    result = session.execute(
        delete(DirtyDay).where(DirtyDay.day.in_(days)).returning(DirtyDay.mark)
    )
    return len(result.all())
