"""Drain the inbox: store batches, count them, keep what cannot be stored as dead letters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import redis
import structlog
from msgspec import Raw
from redis.exceptions import ResponseError
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

import inbox
from event_ids import uuid8
from inbox import Batch
from models.daily_aggregates import read_sealed_through
from models.database import transaction
from models.dead_letters import Refusal, insert_dead_letters
from models.partitions import ensure_partitions, lock_for_store
from models.store import count_conflicting, store_batches

log = structlog.get_logger()

TAKE = 50
#: Classes of SQLSTATE in which the data is at fault, so that trying again cannot help:
#: data exception, integrity constraint, program limit (an index row too large, nesting too deep).
_FINAL_CLASSES = ("22", "23", "54")
_NO_PARTITION = "23514"


@dataclass(slots=True)
class StoreResult:
    """Count what became of the events of a drain."""

    stored: int = 0
    duplicate: int = 0
    conflicting: int = 0
    dead: int = 0

    def add(self, other: StoreResult) -> None:
        """Add another result to this one."""
        self.stored += other.stored
        self.duplicate += other.duplicate
        self.conflicting += other.conflicting
        self.dead += other.dead

    def as_dict(self) -> dict[str, int]:
        """Give the counts by name."""
        return {
            "stored": self.stored,
            "duplicate": self.duplicate,
            "conflicting": self.conflicting,
            "dead": self.dead,
        }


@dataclass(slots=True)
class Drainer:
    """Drain the inbox on behalf of one worker process.

    `consumer` must be this process's own. The days whose partitions are known to exist are
    remembered, so that most transactions need not ask.
    """

    engine: Engine
    client: redis.Redis
    consumer: str
    zone: str = "UTC"
    max_rows: int = 5000
    reclaim_s: float = 30.0
    known_days: set[date] = field(default_factory=set)

    def drain(
        self, *, limit_s: float = 20.0, clock: Callable[[], float] = time.monotonic
    ) -> StoreResult:
        """Store batches until the inbox is empty or the time is up.

        First what this process took before and did not finish, then what dead workers held, then
        what is new. Raises DBAPIError when the database is away: the batches stay pending.
        """
        until = clock() + limit_s
        total = StoreResult()
        inbox.ensure_group(self.client)
        for batches in self._rounds():
            for group in group_by_rows(batches, self.max_rows):
                total.add(self.store(group))
            if clock() >= until:
                break
        return total

    def store(self, batches: Sequence[Batch]) -> StoreResult:
        """Store some batches in one transaction, then take them out of the inbox."""
        bodies = [batch.body for batch in batches]
        days = {day for batch in batches for day in batch.days}
        result = store_bodies(self.engine, bodies, days, known_days=self.known_days, zone=self.zone)
        inbox.done(self.client, batches, totals=result.as_dict())
        return result

    def _rounds(self) -> Iterator[list[Batch]]:
        while batches := inbox.take_own(self.client, self.consumer, count=TAKE):
            yield batches
        while batches := inbox.reclaim(
            self.client, self.consumer, idle_s=self.reclaim_s, count=TAKE
        ):
            yield batches
        while batches := inbox.take(self.client, self.consumer, count=TAKE):
            yield batches


def sweep(client: redis.Redis, *, idle_consumer_s: float = 3600.0) -> bool:
    """Tell whether the inbox needs a drain, and forget the consumers of processes long gone."""
    try:
        inbox.forget_idle_consumers(client, idle_s=idle_consumer_s)
    except ResponseError:
        inbox.ensure_group(client)
    return inbox.read_depth(client).batches > 0


def group_by_rows(batches: Sequence[Batch], max_rows: int) -> Iterator[list[Batch]]:
    """Split batches into groups of up to `max_rows` events; a larger batch stands alone."""
    group: list[Batch] = []
    rows = 0
    for batch in batches:
        if group and rows + batch.events > max_rows:
            yield group
            group, rows = [], 0
        group.append(batch)
        rows += batch.events
    if group:
        yield group


def store_bodies(
    engine: Engine, bodies: Sequence[bytes], days: set[date], *, known_days: set[date], zone: str
) -> StoreResult:
    """Store batches in one transaction of their own, whatever their events are like.

    The good way is one statement. When the database refuses an event, the transaction is made
    again: halved until the bad event is alone and becomes a dead letter. Errors that are not the
    data's fault are raised, with nothing stored.
    """
    _ensure_days(engine, days, known_days)
    for is_last in (False, True):
        try:
            with transaction(engine) as session:
                lock_for_store(session)
                return _store(session, bodies, days, zone=zone)
        except DBAPIError as error:
            if _sqlstate(error) == _NO_PARTITION and not is_last:
                # A purge has dropped a partition that this process still remembered.
                known_days.clear()
                _ensure_days(engine, days, known_days)
                continue
            if not _is_final(error):
                raise
            break
    with transaction(engine) as session:
        lock_for_store(session)
        return store_apart(session, split_bodies(bodies), zone=zone)


def store_apart(session: Session, singles: Sequence[bytes], *, zone: str) -> StoreResult:
    """Store events of which some cannot be stored; these become dead letters.

    Each body holds one event. Halves that work are stored with one statement.
    """
    if not singles:
        return StoreResult()
    try:
        with session.begin_nested():
            counts = store_batches(session, singles, zone=zone)
            return StoreResult(stored=counts.stored, duplicate=counts.duplicate)
    except DBAPIError as error:
        if not _is_final(error):
            raise
        if len(singles) == 1:
            return _bury(session, [_refusal(singles[0], "refused", _first_line(error))])
    middle = len(singles) // 2
    result = store_apart(session, singles[:middle], zone=zone)
    result.add(store_apart(session, singles[middle:], zone=zone))
    return result


def split_bodies(bodies: Sequence[bytes]) -> list[bytes]:
    """Make of each event a body of its own, its bytes unchanged."""
    singles = []
    for body in bodies:
        shared = msgspec.json.decode(body, type=_Body)
        for event in shared.events:
            singles.append(msgspec.json.encode(msgspec.structs.replace(shared, events=[event])))
    return singles


class _Body(msgspec.Struct, omit_defaults=True):
    received_at: str
    events: list[Raw]
    key_id: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None


class _Known(msgspec.Struct):
    event_id: str
    occurred_at: datetime


class _KnownBody(msgspec.Struct):
    events: list[_Known]


def _store(session: Session, bodies: Sequence[bytes], days: set[date], *, zone: str) -> StoreResult:
    sealed = read_sealed_through(session)
    result = StoreResult()
    # Ids and events lie up to two days apart, so look closer a little before it is certain.
    if sealed is not None and days and min(days) <= sealed + timedelta(days=3):
        bodies, late = _take_out_sealed(bodies, sealed, zone=zone)
        result.add(_bury(session, late))
    counts = store_batches(session, bodies, zone=zone)
    conflicting = count_conflicting(session, bodies) if counts.duplicate else 0
    result.add(
        StoreResult(
            stored=counts.stored, duplicate=counts.duplicate - conflicting, conflicting=conflicting
        )
    )
    return result


def _take_out_sealed(
    bodies: Sequence[bytes], sealed: date, *, zone: str
) -> tuple[list[bytes], list[Refusal]]:
    """Part the events of sealed days, whose aggregates are final, from the others."""
    kept, late = [], []
    for single in split_bodies(bodies):
        event = msgspec.json.decode(single, type=_KnownBody).events[0]
        if event.occurred_at.astimezone(ZoneInfo(zone)).date() <= sealed:
            late.append(_refusal(single, "sealed", f"its day is purged up to {sealed}"))
        else:
            kept.append(single)
    return kept, late


def _bury(session: Session, refusals: Sequence[Refusal]) -> StoreResult:
    dead = insert_dead_letters(session, refusals)
    for refusal in refusals:
        log.warning("event_refused", event_id=refusal.event_id, reason=refusal.reason)
    return StoreResult(dead=dead, duplicate=len(refusals) - dead)


def _refusal(single: bytes, reason: str, detail: str) -> Refusal:
    try:
        event_id = msgspec.json.decode(single, type=_KnownBody).events[0].event_id
    except msgspec.MsgspecError:
        event_id = uuid8(0, single.decode(errors="replace"))
    text = single.decode(errors="replace").replace("\0", "\\u0000")
    return Refusal(event_id=event_id, reason=reason, detail=detail, event=text)


def _ensure_days(engine: Engine, days: set[date], known_days: set[date]) -> None:
    missing = days - known_days
    if not missing:
        return
    with transaction(engine) as session:
        made = ensure_partitions(session, missing)
    if made:
        log.info("partitions_made", count=len(made), first=str(made[0]), last=str(made[-1]))
    known_days |= missing


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _is_final(error: DBAPIError) -> bool:
    return _sqlstate(error)[:2] in _FINAL_CLASSES


def _first_line(error: DBAPIError) -> str:
    # The first line names the fault; the lines below it quote the data, which may be personal.
    return f"{_sqlstate(error)}: {str(error.orig).splitlines()[0][:200]}"


def utc_now() -> datetime:
    """Give the time, for callers that have no clock of their own."""
    return datetime.now(UTC)
