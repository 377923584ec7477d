"""Daily sessions: visits of a day, by the 30-minute rule."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class DailySessions(Base):
    """Count one day's sessions. A session ends with its day. A bounce has one event."""

    __tablename__ = "daily_sessions"

    day: Mapped[date] = mapped_column(primary_key=True)
    sessions: Mapped[int] = mapped_column(BigInteger)
    bounces: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(BigInteger)
    duration_ms: Mapped[int] = mapped_column(BigInteger)
