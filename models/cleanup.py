"""Cleaning up: count what would go, and remove a person's events so that all figures follow.

Events of everybody that have become old are the purge's work, which keeps their figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from event_ids import first_id_of
from models.daily_aggregates import UNDATED_END
from models.database import transaction
from models.event_list import EventFilter
from models.id_walk import Walk, planned_each_time
from models.partitions import lock_for_removal
from models.removal import CHUNK, remove_events


@dataclass(slots=True)
class Doomed:
    """Count the events that a cleanup would delete; days are those of UTC."""

    events: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    by_day: Counter[date] = field(default_factory=Counter)
    oldest: datetime | None = None
    newest: datetime | None = None

    def add(self, row: Any) -> None:
        """Add the events of one type and day in one window."""
        self.events += row.events
        self.by_type[row.event_type] += row.events
        self.by_day[row.day] += row.events
        self.oldest = min(self.oldest or row.oldest, row.oldest)
        self.newest = max(self.newest or row.newest, row.newest)


@dataclass(frozen=True, slots=True)
class Removed:
    """Count what a removal deleted, and tell whether there is more."""

    events: int
    more: bool


def cutoff_of(days: int, *, now: datetime) -> date:
    """Give the first day, in UTC, that a cleanup of events older than `days` keeps."""
    return now.astimezone(UTC).date() - timedelta(days=days)


def count_wanted(engine: Engine, wanted: EventFilter, *, today: date) -> Doomed:
    """Count the events that meet a filter."""
    condition, parameters = wanted.to_sql()
    low, high = wanted.id_bounds(today=today)
    return _count(engine, condition, parameters, low, high, today=today)


def count_purgeable(engine: Engine, cutoff: date, *, today: date) -> Doomed:
    """Count what a purge would delete: partitions before a day, and as old events without a time.

    A partition holds the ids of its day; an event may have happened up to three days off it.
    """
    condition = "(event_id >= CAST(:undated AS uuid) OR occurred_at < CAST(:cutoff AS date))"
    parameters = {"undated": UNDATED_END, "cutoff": cutoff}
    return _count(engine, condition, parameters, UNDATED_END, first_id_of(cutoff), today=today)


def remove_wanted(
    engine: Engine, wanted: EventFilter, *, zone: str, limit: int, today: date
) -> Removed:
    """Remove up to `limit` events that meet a filter, in chunks, a transaction each.

    Counters go down by what the events had added and their days wait for a recount; a sealed day
    keeps its figures. Purges are held off: the figures that one records must not hold an event
    that is taken back at the same time.
    """
    condition, parameters = wanted.to_sql()
    low, high = wanted.id_bounds(today=today)
    condition += (
        " AND (event_id >= CAST(:low AS uuid) AND event_id < CAST(:high AS uuid) "
        "OR event_id < CAST(:undated AS uuid))"
    )
    parameters |= {"low": low, "high": high, "undated": UNDATED_END}
    removed = 0
    while removed < limit:
        size = min(CHUNK, limit - removed)
        with transaction(engine) as session:
            lock_for_removal(session)
            gone = remove_events(session, condition, parameters, zone=zone, limit=size)
        removed += gone
        if gone < size:
            return Removed(removed, more=False)
    return Removed(removed, more=True)


def _count(
    engine: Engine,
    condition: str,
    parameters: Mapping[str, Any],
    low: str,
    high: str,
    *,
    today: date,
) -> Doomed:
    statement = text(
        "SELECT event_type, (occurred_at AT TIME ZONE 'UTC')::date AS day, count(*) AS events, "
        "min(occurred_at) AS oldest, max(occurred_at) AS newest "
        f"FROM events WHERE {condition} AND event_id >= CAST(:low AS uuid) "
        "AND event_id < CAST(:high AS uuid) GROUP BY 1, 2"
    )
    doomed = Doomed()
    with engine.connect() as connection:
        walk = Walk(connection, low, high, today=today)
        while not walk.is_done:
            first, end = walk.window
            with planned_each_time(connection):
                rows = connection.execute(statement, {**parameters, "low": first, "high": end})
                for row in rows:
                    doomed.add(row)
            walk.advance()
    return doomed
