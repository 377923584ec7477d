"""What the figures of some days leave out, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_excluded import count_excluded_sql
from models.reports.days import Days


@dataclass(frozen=True, slots=True)
class Excluded:
    """Count the events of each day that are left out, by reason: the most frequent one first."""

    days: Days
    by_day: dict[date, Counter[str]]

    @property
    def by_reason(self) -> dict[str, int]:
        """Give the sums of all days."""
        total: Counter[str] = sum(self.by_day.values(), Counter())
        return dict(total.most_common())


def read_excluded(session: Session, days: Days) -> Excluded:
    """Count what the figures of some days leave out."""
    rows = days.of_all_traffic().rows_sql(
        "daily_excluded", "day, reason, events", count_excluded_sql
    )
    length = (days.last - days.first).days + 1
    by_day: dict[date, Counter[str]] = {
        days.first + timedelta(days=n): Counter() for n in range(length)
    }
    for day, reason, events in session.execute(
        text(f"SELECT day, reason, events FROM {rows} ORDER BY day, events DESC, reason"),
        days.parameters(),
    ):
        by_day[day][reason] += events
    return Excluded(days, by_day)
