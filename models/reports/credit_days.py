"""The days of a report whose credit of recommendations is counted from events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_aggregates import read_sealed_through
from models.recommendation_credit import (
    COUNTS,
    EARLIER,
    LATER,
    affected_days,
    credit_bounds,
    events_of_credit_sql,
)
from models.recommendation_credit_rule import count_credit_sql
from models.reports.days import MAX_RUNS, Days, From, hurry
from models.traffic import ALL

_SUFFIX = "_credit"


@dataclass(frozen=True, slots=True)
class CreditDays:
    """The days of a report, and those of them whose credit waits: for events of other days too."""

    days: Days
    waiting: tuple[date, ...]

    def rows_sql(self, place: str) -> str:
        """Write the relation `(…) AS credit` of the rows of all days, recounted where they wait."""
        columns = f"{place}, {', '.join(COUNTS)}"
        kept = (
            f"SELECT {columns} FROM daily_recommendation_credit "
            "WHERE day BETWEEN :first AND :last AND day <> ALL(CAST(:waiting AS date[]))"
        )
        if not self.waiting:
            return f"({kept}) AS credit"
        suffixes = (f"{_SUFFIX}_{n}" for n in range(len(self._runs())))
        events = events_of_credit_sql(*suffixes, traffic=self.days.traffic)
        counted = (
            f"SELECT {columns} FROM ({count_credit_sql(events)}) AS counted "
            "WHERE day = ANY(CAST(:waiting AS date[]))"
        )
        return f"({kept} UNION ALL {counted}) AS credit"

    def parameters(self) -> dict[str, Any]:
        """Give the parameters of the relation, beside those of its days."""
        bounds: dict[str, Any] = {"waiting": list(self.waiting)}
        for n, (first, last) in enumerate(self._runs()):
            bounds |= credit_bounds(first, last, zone=self.days.zone, suffix=f"{_SUFFIX}_{n}")
        return bounds

    def _runs(self) -> list[tuple[date, date]]:
        """Join days whose events are the same to runs; of too many of them, all in between."""
        runs: list[tuple[date, date]] = []
        for day in self.waiting:
            if runs and day - runs[-1][1] <= EARLIER + LATER:
                runs[-1] = (runs[-1][0], day)
            else:
                runs.append((day, day))
        return runs if len(runs) <= MAX_RUNS else [(runs[0][0], runs[-1][1])]

    @property
    def source(self) -> From:
        """Say where the figures of the report are from, those of its days among them."""
        if self.days.source == "aggregates" and not self.waiting:
            return "aggregates"
        whole = len(self.waiting) == (self.days.last - self.days.first).days + 1
        return "events" if self.days.source == "events" and whole else "both"


def read_credit_days(session: Session, days: Days) -> CreditDays:
    """Find out which of a report's days have credit that waits for an aggregation."""
    if days.traffic == ALL:
        return CreditDays(days, days.recounted)
    dirty = session.scalars(
        text("SELECT DISTINCT day FROM dirty_days WHERE day BETWEEN :first AND :last"),
        {"first": days.first - EARLIER, "last": days.last + LATER},
    )
    sealed = read_sealed_through(session) or date.min
    waiting = {
        day
        for day in affected_days([*dirty, *days.recounted])
        if sealed < day and days.first <= day <= days.last
    }
    if waiting:
        hurry(session)
    return CreditDays(days, tuple(sorted(waiting)))
