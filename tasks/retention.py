"""Purge: delete events older than the retention, after counting them into what stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from event_ids import ID_DAY_MARGIN
from fail_points import fail_point
from models.daily_aggregates import UNDATED_END, DailyTotal, seal_days
from models.database import transaction
from models.dead_letters import purge_dead_letters
from models.partitions import (
    drop_partition,
    ensure_partitions,
    lock_for_purge,
    partition_name,
    read_partition_days,
)
from models.product_metrics import add_counts_sql, counts_sql
from tasks.aggregate import SPAN_DAYS, aggregate_span, lock_aggregates

CHUNK = 10_000
#: A purge seals the days up to ID_DAY_MARGIN after the partitions it drops. Today must stay open,
#: also in a zone where it is still yesterday.
FEWEST_DAYS = ID_DAY_MARGIN + 1
PARTITIONS_AHEAD = 7
#: Stands for the partition of the ids that carry no time.
UNDATED = "events_undated"


@dataclass(slots=True)
class Purged:
    """Count what a purge deleted, or would delete.

    `cutoff` is the first day of which every type is kept; `by_partition` counts the events of each
    partition by type.
    """

    cutoff: date | None
    dry_run: bool
    partitions: int = 0
    dead_letters: int = 0
    by_partition: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def by_type(self) -> Counter[str]:
        """Count the events by type."""
        return sum(self.by_partition.values(), Counter())

    @property
    def events(self) -> int:
        """Count the events."""
        return self.by_type.total()

    def as_outcome(self) -> dict[str, Any]:
        """Give the counts by name."""
        return {
            "cutoff": None if self.cutoff is None else str(self.cutoff),
            "partitions": self.partitions,
            "events": self.events,
            "by_type": dict(self.by_type.most_common()),
            "dead_letters": self.dead_letters,
            "dry_run": self.dry_run,
        }

    def add(self, partition: str, counts: Mapping[str, int]) -> None:
        """Count events of a partition."""
        if counts:
            self.by_partition.setdefault(partition, Counter()).update(counts)


@dataclass(frozen=True, slots=True)
class _Purge:
    """What every step of a purge needs."""

    zone: str
    now: datetime
    properties: Sequence[str]

    def cutoff(self, days: int) -> date:
        """Give the first day that is kept."""
        if days < FEWEST_DAYS:
            raise ValueError(f"days must be >= {FEWEST_DAYS}, got {days}")
        return self.now.astimezone(UTC).date() - timedelta(days=days)

    def seal(self, session: Session, first: date, last: date) -> None:
        """Bring the aggregates of the days up to date and make them final.

        A day may lie open behind sealed ones: a purge of one type passes by where that has none.
        """
        sealed = session.scalars(
            select(DailyTotal.day).where(
                DailyTotal.day.between(first, last), DailyTotal.sealed_at.is_not(None)
            )
        )
        days = {first + timedelta(days=n) for n in range((last - first).days + 1)}
        if not (still_open := sorted(days - set(sealed))):
            return
        aggregate_span(
            session,
            still_open[0],
            still_open[-1],
            zone=self.zone,
            now=self.now,
            properties=self.properties,
        )
        seal_days(session, still_open, now=self.now)

    def seal_around(self, session: Session, day: date) -> None:
        """Seal the days of which a partition may hold events."""
        margin = timedelta(days=ID_DAY_MARGIN)
        self.seal(session, day - margin, day + margin)


def purge(
    engine: Engine,
    *,
    days: int | None,
    zone: str,
    now: datetime,
    by_type: Mapping[str, int] | None = None,
    properties: Sequence[str] = (),
    dry_run: bool = False,
) -> Purged:
    """Delete the events whose day lies more than `days` before today (UTC); None keeps all.

    Those of a type in `by_type` go after its own days. Dead letters go with the events of the days
    on which they were kept. Each transaction aggregates the days that
    it touches, seals them, adds what it deletes to the purged counters, and deletes: a partition
    whole, or a chunk of the events of some types. A purge that was stopped is done by the next one.
    """
    work = _Purge(zone=zone, now=now, properties=properties)
    cutoff = None if days is None else work.cutoff(days)
    cutoffs = {kind: work.cutoff(kept) for kind, kept in (by_type or {}).items()}
    done = Purged(cutoff=cutoff, dry_run=dry_run)
    with transaction(engine) as session:
        partitions = sorted(read_partition_days(session))
    for day in partitions:
        if cutoff is not None and day < cutoff:
            _purge_partition(engine, day, work, done)
        elif kinds := sorted(kind for kind, end in cutoffs.items() if day < end):
            _purge_types(engine, day, kinds, work, done)
    if cutoff is not None:
        _purge_undated(engine, cutoff, None, work, done)
        _purge_dead_letters(engine, cutoff, done)
    for kind, end in cutoffs.items():
        # What the purge of all types has counted already is not counted again by a dry run.
        _purge_undated(engine, end, kind, work, done, since=cutoff)
    return done


def ensure_partitions_ahead(engine: Engine, *, now: datetime) -> int:
    """Make the partitions of today and a week ahead; give how many were missing."""
    today = now.astimezone(UTC).date()
    days = [today + timedelta(days=n) for n in range(-1, PARTITIONS_AHEAD + 1)]
    with transaction(engine) as session:
        return len(ensure_partitions(session, days))


def _lock(session: Session) -> None:
    """Let nobody else aggregate or store. An aggregation is waited for while events still come."""
    lock_aggregates(session)
    lock_for_purge(session)


def _purge_partition(engine: Engine, day: date, work: _Purge, done: Purged) -> None:
    name = partition_name(day)
    with transaction(engine) as session:
        if not done.dry_run:
            _lock(session)
            work.seal_around(session, day)
        counted = _count_types(session, name, "TRUE", {})
        if not done.dry_run:
            session.execute(
                text(
                    f"WITH counted AS ({counts_sql(name)}) "
                    f"{add_counts_sql('purged_product_metrics', 'counted')}"
                )
            )
            drop_partition(session, day)
            fail_point("purge.partition")
    done.partitions += 1
    done.add(name, counted)


def _purge_types(engine: Engine, day: date, kinds: list[str], work: _Purge, done: Purged) -> None:
    """Delete the events of some types from a partition, which the others stay in."""
    name = partition_name(day)
    condition, values = "event_type = ANY(:kinds)", {"kinds": kinds}
    with transaction(engine) as session:
        there = _count_types(session, name, condition, values)
    if done.dry_run:
        done.add(name, there)
        return
    while there:
        with transaction(engine) as session:
            _lock(session)
            work.seal_around(session, day)
            there = _delete_chunk(session, name, condition, values)
        done.add(name, there)


def _purge_undated(
    engine: Engine,
    cutoff: date,
    kind: str | None,
    work: _Purge,
    done: Purged,
    *,
    since: date | None = None,
) -> None:
    """Delete old events whose ids carry no time, in chunks: they share one partition."""
    condition = "event_id < CAST(:undated AS uuid) AND occurred_at < CAST(:cutoff AS date)"
    values: dict[str, object] = {"undated": UNDATED_END, "cutoff": cutoff}
    if kind is not None:
        condition += " AND event_type = :kind"
        values["kind"] = kind
    if since is not None:
        condition += " AND occurred_at >= CAST(:since AS date)"
        values["since"] = since
    if done.dry_run:
        with transaction(engine) as session:
            done.add(UNDATED, _count_types(session, "events", condition, values))
        return
    while True:
        with transaction(engine) as session:
            _lock(session)
            first = session.scalar(
                text(f"SELECT min(occurred_at) FROM events WHERE {condition}"), values
            )
            if first is None:
                return
            # They may be few and a year apart: it is not aggregated whole while stores wait.
            end = min(cutoff, first.date() + timedelta(days=SPAN_DAYS))
            work.seal(session, first.date() - timedelta(days=1), end)
            deleted = _delete_chunk(session, UNDATED, condition, {**values, "cutoff": end})
        done.add(UNDATED, deleted)


def _purge_dead_letters(engine: Engine, cutoff: date, done: Purged) -> None:
    gone = CHUNK
    while gone == CHUNK:
        with transaction(engine) as session:
            gone = purge_dead_letters(session, cutoff, dry_run=done.dry_run, limit=CHUNK)
        done.dead_letters += gone
        if done.dry_run:
            return


def _count_types(
    session: Session, table: str, condition: str, values: Mapping[str, object]
) -> dict[str, int]:
    rows = session.execute(
        text(f"SELECT event_type, count(*) FROM {table} WHERE {condition} GROUP BY event_type"),
        dict(values),
    )
    return dict(rows.all())


def _delete_chunk(
    session: Session, table: str, condition: str, values: Mapping[str, object]
) -> dict[str, int]:
    """Delete up to CHUNK events, add them to the purged counters, and count them by type."""
    rows = session.execute(
        text(
            f"WITH gone AS (DELETE FROM {table} WHERE event_id IN "
            f"(SELECT event_id FROM {table} WHERE {condition} LIMIT {CHUNK}) "
            "RETURNING event_type, product_id, quantity, value, items, occurred_at, excluded), "
            f"counted AS ({counts_sql('gone')}), "
            f"added AS ({add_counts_sql('purged_product_metrics', 'counted')}) "
            "SELECT event_type, count(*) FROM gone GROUP BY event_type"
        ),
        dict(values),
    )
    return dict(rows.all())
