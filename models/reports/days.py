"""Which days of a report are read from aggregates, and which are counted from events instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_aggregates import day_bounds, events_sql, of_days_sql
from models.traffic import ALL, COUNTED, Traffic

#: The daily tables have rows of each day that was aggregated since they exist.
HAS_ROWS = "EXISTS (SELECT FROM daily_sessions WHERE daily_sessions.day = daily_totals.day)"
#: Runs of neighbouring days that are looked up one by one; of more, all between them are read.
MAX_RUNS = 12

#: Planner settings for counting while somebody waits: on two more processors, also where only some
#: ten thousand rows are read. Containers often have little shared memory, which joins would take.
_HURRY = {
    "max_parallel_workers_per_gather": "2",
    "min_parallel_table_scan_size": "1MB",
    "parallel_setup_cost": "10",
    "parallel_tuple_cost": "0.01",
    "enable_parallel_hash": "off",
}

From = Literal["aggregates", "events", "both"]


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a report, first and last inside.

    `recounted` have events that the aggregates do not know; they are counted from these. `lost`
    is the last day that was purged before it was counted in this way: nobody knows it any more.
    Aggregates know counted traffic only: of all traffic every day is recounted.
    """

    first: date
    last: date
    zone: str
    recounted: tuple[date, ...] = ()
    lost: date | None = None
    traffic: Traffic = COUNTED

    @property
    def source(self) -> From:
        """Say where the figures are from."""
        if not self.recounted:
            return "aggregates"
        return "events" if len(self.recounted) == (self.last - self.first).days + 1 else "both"

    @property
    def whole_from(self) -> date:
        """Give the first day from which on nothing is missing."""
        return self.first if self.lost is None else self.lost + timedelta(days=1)

    def rows_sql(self, table: str, columns: str, count: Callable[[str], str]) -> str:
        """Write the relation `(…) AS rows` of a daily table's rows, recounted where they must be.

        `count` writes the SELECT of such rows from a relation of events.
        """
        kept = (
            f"SELECT {columns} FROM {table} WHERE day BETWEEN :first AND :last "
            "AND day <> ALL(CAST(:recounted AS date[]))"
        )
        if not self.recounted:
            return f"({kept}) AS rows"
        counted = f"SELECT {columns} FROM ({count(self.events_sql())}) AS counted"
        return f"({kept} UNION ALL {counted}) AS rows"

    def events_sql(self) -> str:
        """Write the relation of the events of the recounted days."""
        if len(self.recounted) == 1:
            day = "CAST(:first_0 AS date)"
            return events_sql(of_days_sql("_0"), day=day, traffic=self.traffic)
        runs = self._runs()
        condition = " OR ".join(f"({of_days_sql(f'_{n}')})" for n in range(len(runs)))
        if sum((last - first).days + 1 for first, last in runs) > len(self.recounted):
            day = "(occurred_at AT TIME ZONE :zone)::date"
            condition = f"({condition}) AND {day} = ANY(CAST(:recounted AS date[]))"
        return events_sql(condition, traffic=self.traffic)

    def of_all_traffic(self) -> Days:
        """Give the same days, with every event of those that are recounted."""
        return replace(self, traffic=ALL)

    def parameters(self, **more: Any) -> dict[str, Any]:
        """Give the parameters of both relations, and more."""
        bounds: dict[str, Any] = {}
        for n, (first, last) in enumerate(self._runs()):
            bounds |= day_bounds(first, last, zone=self.zone, suffix=f"_{n}")
        return {
            **bounds,
            "first": self.first,
            "last": self.last,
            "zone": self.zone,
            "recounted": list(self.recounted),
            **more,
        }

    def _runs(self) -> list[tuple[date, date]]:
        runs: list[tuple[date, date]] = []
        for day in self.recounted:
            if runs and day - runs[-1][1] == timedelta(days=1):
                runs[-1] = (runs[-1][0], day)
            else:
                runs.append((day, day))
        return runs if len(runs) <= MAX_RUNS else [(runs[0][0], runs[-1][1])]


def read_days(
    session: Session,
    first: date,
    last: date,
    *,
    zone: str,
    counted: str = HAS_ROWS,
    traffic: Traffic = COUNTED,
    **names: Any,
) -> Days:
    """Find out where the figures of the days first to last are.

    Of all traffic they are in the events, none of which may be purged. `counted` is a condition on
    daily_totals: the aggregates of the day hold what the report asks for; `names` are its
    parameters. A day without a row there never had an event.
    """
    if traffic == ALL:
        hurry(session)
        every = tuple(first + timedelta(days=n) for n in range((last - first).days + 1))
        return Days(first, last, zone, recounted=every, traffic=ALL)
    found = session.execute(
        text(
            f"""
SELECT day, sealed FROM (
    SELECT day, sealed_at IS NOT NULL AS sealed, events > 0 AND NOT ({counted}) AS unknown
    FROM daily_totals WHERE day BETWEEN :first AND :last
) AS total FULL JOIN (
    SELECT DISTINCT day, true AS dirty FROM dirty_days WHERE day BETWEEN :first AND :last
) AS mark USING (day)
WHERE unknown OR (dirty AND sealed IS NOT TRUE)
ORDER BY day"""
        ),
        {"first": first, "last": last, **names},
    ).all()
    recounted = tuple(row.day for row in found if not row.sealed)
    if recounted:
        hurry(session)
    lost = max((row.day for row in found if row.sealed), default=None)
    return Days(first, last, zone, recounted, lost)


def hurry(session: Session) -> None:
    """Let the open transaction count on several processors."""
    settings = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _HURRY.items())
    session.execute(text(f"SELECT {settings}"))
