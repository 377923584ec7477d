"""One session: its events in the order in which they happened, with the gaps between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from models.daily_aggregates import UNDATED_END
from models.event_list import EVENT_COLUMNS, EventFilter
from models.id_walk import LOWEST_ID, Walk, planned_each_time

#: People of a session that are named: it should have one.
MAX_PEOPLE = 10


@dataclass(slots=True)
class SessionTotals:
    """What a whole session has, and the range of ids in which its events lie."""

    by_type: Counter[str] = field(default_factory=Counter)
    users: set[str] = field(default_factory=set)
    anonymous: set[str] = field(default_factory=set)
    first_at: datetime | None = None
    last_at: datetime | None = None
    low: str = UNDATED_END
    high: str = LOWEST_ID
    has_undated: bool = False

    def add(self, row: Any) -> None:
        """Add the events of one type in one window."""
        self.by_type[row.event_type] += row.events
        self.users.update(row.users or ())
        self.anonymous.update(row.anonymous or ())
        self.first_at = min(self.first_at or row.first_at, row.first_at)
        self.last_at = max(self.last_at or row.last_at, row.last_at)

    def widen(self, low: str, high: str) -> None:
        """Take in a window that has some of the events; windows come newest first."""
        if low == LOWEST_ID:
            self.has_undated = True
            return
        self.low, self.high = low, max(self.high, high)


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the timeline and the time since the one before it."""

    event: Any
    gap_ms: int | None


def read_session_totals(engine: Engine, wanted: EventFilter, *, today: date) -> SessionTotals:
    """Count the events of a session; `by_type` is empty when there is none."""
    condition, parameters = wanted.to_sql()
    statement = text(
        "SELECT event_type, count(*) AS events, min(occurred_at) AS first_at, "
        "max(occurred_at) AS last_at, "
        "array_agg(DISTINCT user_id) FILTER (WHERE user_id IS NOT NULL) AS users, "
        "array_agg(DISTINCT anonymous_id) FILTER (WHERE anonymous_id IS NOT NULL) AS anonymous "
        f"FROM events WHERE {condition} AND event_id >= CAST(:low AS uuid) "
        "AND event_id < CAST(:high AS uuid) GROUP BY event_type"
    )
    totals = SessionTotals()
    with engine.connect() as connection:
        walk = Walk(connection, *wanted.id_bounds(today=today), today=today)
        while not walk.is_done:
            low, high = walk.window
            with planned_each_time(connection):
                rows = connection.execute(statement, {**parameters, "low": low, "high": high}).all()
            for row in rows:
                totals.add(row)
            if rows:
                totals.widen(low, high)
            walk.advance()
    return totals


def read_timeline(
    engine: Engine,
    wanted: EventFilter,
    totals: SessionTotals,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Step]:
    """Read up to `limit` events of a session, the oldest first, that come after a place in it."""
    with engine.connect() as connection, planned_each_time(connection):
        rows = _read_rows(connection, wanted, totals, after=after, limit=limit)
    before = [after[0] if after else None, *(row.occurred_at for row in rows)]
    return [
        Step(row, None if last is None else ms_between(last, row.occurred_at))
        for last, row in zip(before, rows, strict=False)
    ]


def _read_rows(
    connection: Connection,
    wanted: EventFilter,
    totals: SessionTotals,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Any]:
    condition, parameters = wanted.to_sql()
    bounds = "event_id >= CAST(:low AS uuid) AND event_id < CAST(:high AS uuid)"
    if totals.has_undated:
        bounds = f"({bounds} OR event_id < CAST(:undated AS uuid))"
        parameters["undated"] = UNDATED_END
    if after is not None:
        condition += " AND (occurred_at, event_id) > (:after_at, :after_id)"
        parameters |= {"after_at": after[0], "after_id": after[1]}
    return connection.execute(
        text(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE {condition} AND {bounds} "
            "ORDER BY occurred_at, event_id LIMIT :limit"
        ),
        {**parameters, "low": totals.low, "high": totals.high, "limit": limit},
    ).all()


def ms_between(earlier: datetime, later: datetime) -> int:
    """Give the milliseconds from one moment to a later one."""
    return round((later - earlier).total_seconds() * 1000)
