"""Daily values: events per value of the properties that reports are asked for."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class DailyValue(Base):
    """Count one day's events that have a value in a property or column."""

    __tablename__ = "daily_values"

    day: Mapped[date] = mapped_column(primary_key=True)
    property: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)
