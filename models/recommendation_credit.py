"""Credit: which clicks and purchases a recommended list earned, on the day it was shown.

A click counts for a list that the same person was shown the product on in the half hour before it,
once for each product of a list. A purchase of the product within seven days counts for the last
such click, an order line once. So each figure of a row is of the lists shown on its day, and what
is bought changes the rows of the days before: `affected_days` says which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Numeric, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.daily_aggregates import day_bounds, events_sql, of_days_sql, read_sealed_through
from models.daily_recommendations import RecommendationPlace
from models.days import replace_days
from models.recommendation_credit_rule import count_credit_sql
from models.traffic import COUNTED, Traffic

#: What is shown to a day's last second may be clicked and bought in the days after it, and a click
#: of its first minutes may belong to a list of the day before.
EARLIER, LATER = timedelta(days=1), timedelta(days=8)


COUNTS = ("clicked", "purchased", "converted", "revenue")


class DailyRecommendationCredit(RecommendationPlace, Base):
    """Count what one day's recommended lists earned.

    `purchased` are order lines and `revenue` is their value; `converted` are the products shown
    that led to one or more of them. Events without an id of a list count as they say themselves.
    """

    __tablename__ = "daily_recommendation_credit"

    clicked: Mapped[int] = mapped_column(BigInteger)
    purchased: Mapped[int] = mapped_column(BigInteger)
    converted: Mapped[int] = mapped_column(BigInteger)
    revenue: Mapped[Decimal] = mapped_column(Numeric)


@contextmanager
def hash_joins(session: Session) -> Iterator[None]:
    """Let the open transaction join by hashing alone.

    Of what stands in JSON the planner knows nothing: where it takes a hundred thousand lines for
    one, it would compare each with all others.
    """
    session.execute(text("SET LOCAL enable_nestloop = off"))
    yield
    session.execute(text("SET LOCAL enable_nestloop TO DEFAULT"))


def affected_days(days: Iterable[date]) -> set[date]:
    """Give the days whose credit the events of some days may change."""
    reach = range(-LATER.days, EARLIER.days + 1)
    return {day + timedelta(days=n) for day in days for n in reach}


def is_final_sql() -> str:
    """Write the condition that the credit of `day` is final: what was bought later may be purged.

    A day may lie open behind sealed ones, but not its credit.
    """
    return "coalesce(day <= (SELECT max(day) FROM daily_totals WHERE sealed_at IS NOT NULL), false)"


def events_of_credit_sql(*suffixes: str, traffic: Traffic = COUNTED) -> str:
    """Write the relation of the events that decide on the credit of the days of `credit_bounds`."""
    condition = " OR ".join(f"({of_days_sql(suffix)})" for suffix in suffixes)
    return events_sql(condition, traffic=traffic)


def credit_bounds(first: date, last: date, *, zone: str, suffix: str) -> dict[str, Any]:
    """Give the parameters of `events_of_credit_sql` for the days first to last."""
    return day_bounds(first - EARLIER, last + LATER, zone=zone, suffix=suffix)


def replace_credit(session: Session, first: date, last: date, *, zone: str) -> None:
    """Replace the credit of all days that the events of the days first to last may change.

    Credit that is final stays.
    """
    sealed = read_sealed_through(session)
    start, end = first - LATER, last + EARLIER
    if sealed is not None:
        start = max(start, sealed + timedelta(days=1))
    if end < start:
        return
    suffix = "_credit"
    counted = (
        f"SELECT * FROM ({count_credit_sql(events_of_credit_sql(suffix))}) AS every "
        "WHERE day BETWEEN :first AND :last"
    )
    parameters = {
        **credit_bounds(start, end, zone=zone, suffix=suffix),
        "first": start,
        "last": end,
    }
    with hash_joins(session):
        replace_days(session, DailyRecommendationCredit, counted, parameters)
