"""Daily recommendations: how often lists were shown, clicked and led to a purchase, by place."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class DailyRecommendations(Base):
    """Count one day's recommended products by placement and position in the list.

    No placement is the empty text, no position is 0.
    """

    __tablename__ = "daily_recommendations"

    day: Mapped[date] = mapped_column(primary_key=True)
    placement: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shown: Mapped[int] = mapped_column(BigInteger)
    clicked: Mapped[int] = mapped_column(BigInteger)
    purchased: Mapped[int] = mapped_column(BigInteger)
