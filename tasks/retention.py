"""Purge: drop events older than the retention, after counting them into what stays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from event_ids import ID_DAY_MARGIN
from models.daily_aggregates import UNDATED_END, read_sealed_through, seal_days
from models.database import transaction
from models.partitions import (
    drop_partition,
    ensure_partitions,
    lock_for_purge,
    partition_name,
    read_partition_days,
)
from models.product_metrics import add_counts_sql, counts_sql
from tasks.aggregate import aggregate_span

CHUNK = 10_000
#: A purge seals the days up to ID_DAY_MARGIN after the partitions it drops. Today must stay open,
#: also in a zone where it is still yesterday.
FEWEST_DAYS = ID_DAY_MARGIN + 1
PARTITIONS_AHEAD = 7


@dataclass(frozen=True, slots=True)
class Purged:
    """Count what a purge deleted, or would delete."""

    cutoff: date
    partitions: int
    events: int
    dry_run: bool


def purge(engine: Engine, *, days: int, zone: str, now: datetime, dry_run: bool = False) -> Purged:
    """Delete the events whose day lies more than `days` before today (UTC).

    Partition by partition, each in a transaction that aggregates the days it touches, seals them,
    adds the counts to the purged counters and drops the partition; a crash leaves whole ones.
    """
    if days < FEWEST_DAYS:
        raise ValueError(f"days must be >= {FEWEST_DAYS}, got {days}")
    cutoff = now.astimezone(UTC).date() - timedelta(days=days)
    with transaction(engine) as session:
        old = sorted(day for day in read_partition_days(session) if day < cutoff)
    events = 0
    for day in old:
        with transaction(engine) as session:
            events += _purge_day(session, day, zone=zone, now=now, dry_run=dry_run)
    events += _purge_undated(engine, cutoff, zone=zone, now=now, dry_run=dry_run)
    return Purged(cutoff=cutoff, partitions=len(old), events=events, dry_run=dry_run)


def ensure_partitions_ahead(engine: Engine, *, now: datetime) -> int:
    """Make the partitions of today and a week ahead; give how many were missing."""
    today = now.astimezone(UTC).date()
    days = [today + timedelta(days=n) for n in range(-1, PARTITIONS_AHEAD + 1)]
    with transaction(engine) as session:
        return len(ensure_partitions(session, days))


def _purge_day(session: Session, day: date, *, zone: str, now: datetime, dry_run: bool) -> int:
    name = partition_name(day)
    if dry_run:
        return int(session.scalar(text(f"SELECT count(*) FROM {name}")) or 0)
    lock_for_purge(session)
    # The partition holds events of up to ID_DAY_MARGIN days before and after its own.
    _seal(
        session,
        day - timedelta(days=ID_DAY_MARGIN),
        day + timedelta(days=ID_DAY_MARGIN),
        zone=zone,
        now=now,
    )
    counted = session.scalar(text(f"SELECT count(*) FROM {name}")) or 0
    session.execute(
        text(
            f"WITH counted AS ({counts_sql(name)}) "
            f"{add_counts_sql('purged_product_metrics', 'counted')}"
        )
    )
    drop_partition(session, day)
    return int(counted)


def _purge_undated(engine: Engine, cutoff: date, *, zone: str, now: datetime, dry_run: bool) -> int:
    """Delete old events whose ids carry no time, in chunks: they share one partition."""
    total = 0
    old = "event_id < CAST(:undated AS uuid) AND occurred_at < CAST(:cutoff AS date)"
    bounds = {"undated": UNDATED_END, "cutoff": cutoff}
    if dry_run:
        with transaction(engine) as session:
            return int(
                session.scalar(text(f"SELECT count(*) FROM events WHERE {old}"), bounds) or 0
            )
    while True:
        with transaction(engine) as session:
            lock_for_purge(session)
            first = session.scalar(text(f"SELECT min(occurred_at) FROM events WHERE {old}"), bounds)
            if first is None:
                return total
            _seal(session, first.date() - timedelta(days=1), cutoff, zone=zone, now=now)
            deleted = session.scalar(
                text(
                    f"WITH gone AS (DELETE FROM events WHERE event_id IN "
                    f"(SELECT event_id FROM events WHERE {old} LIMIT {CHUNK}) "
                    "RETURNING event_type, product_id, quantity, value, items, occurred_at), "
                    f"counted AS ({counts_sql('gone')}), "
                    f"added AS ({add_counts_sql('purged_product_metrics', 'counted')}) "
                    "SELECT count(*) FROM gone"
                ),
                bounds,
            )
            total += int(deleted or 0)


def _seal(session: Session, first: date, last: date, *, zone: str, now: datetime) -> None:
    """Bring the aggregates of the days up to date and make them final."""
    sealed = read_sealed_through(session)
    if sealed is not None:
        first = max(first, sealed + timedelta(days=1))
    if first > last:
        return
    aggregate_span(session, first, last, zone=zone, now=now)
    seal_days(session, [first + timedelta(days=n) for n in range((last - first).days + 1)], now=now)
