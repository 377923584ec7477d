"""Sessions: how many, how long, and how many of one event only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_sessions import count_sessions_sql
from models.reports.days import Days, read_days
from models.traffic import COUNTED, Traffic

_COLUMNS = "day, sessions, bounces, events, duration_ms"


@dataclass(frozen=True, slots=True)
class Sessions:
    """Count the sessions of a day, or of all days where `day` is None."""

    day: date | None
    sessions: int = 0
    bounces: int = 0
    events: int = 0
    duration_ms: int = 0

    @property
    def events_per_session(self) -> float | None:
        """Give the mean number of events; None without sessions."""
        return self.events / self.sessions if self.sessions else None

    @property
    def mean_duration_s(self) -> float | None:
        """Give the mean time from a session's first event to its last."""
        return self.duration_ms / 1000 / self.sessions if self.sessions else None

    @property
    def bounce_rate(self) -> float | None:
        """Give the share of sessions with one event."""
        return self.bounces / self.sessions if self.sessions else None


@dataclass(frozen=True, slots=True)
class SessionsByDay:
    """Every day in its order, and their sum."""

    days: Days
    total: Sessions
    by_day: list[Sessions]


def read_sessions(
    session: Session, first: date, last: date, *, zone: str, traffic: Traffic = COUNTED
) -> SessionsByDay:
    """Count the sessions of the days first to last. A session ends with its day."""
    days = read_days(session, first, last, zone=zone, traffic=traffic)
    rows = days.rows_sql("daily_sessions", _COLUMNS, count_sessions_sql)
    found = {
        row.day: Sessions(*row)
        for row in session.execute(text(f"SELECT {_COLUMNS} FROM {rows}"), days.parameters())
    }
    length = (last - first).days + 1
    every = [first + timedelta(days=n) for n in range(length)]
    counted = found.values()
    total = Sessions(
        None,
        sum(day.sessions for day in counted),
        sum(day.bounces for day in counted),
        sum(day.events for day in counted),
        sum(day.duration_ms for day in counted),
    )
    return SessionsByDay(days, total, [found.get(day, Sessions(day)) for day in every])
