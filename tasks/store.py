"""Store batches and count them, whatever their events are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from event_ids import ID_DAY_MARGIN
from fail_points import fail_point
from models.database import transaction
from models.dead_letters import Refusal, insert_dead_letters
from models.partitions import ensure_partitions, lock_for_store
from models.person import read_actor
from models.refusals import describe_refusal, is_final, sqlstate
from models.store import (
    Limits,
    count_conflicting,
    read_limits,
    read_stored_ids,
    store_batches,
)
from models.store_lines import (
    AlreadyStoredError,
    copy_lines,
    has_repeated,
    has_suppressed,
    read_batches,
)
from models.suppressions import Salts, read_reasons
from tasks.bodies import days_of_bodies, read_day, read_single, refuse, split_bodies
from tasks.rejected import keep_rejected

log = structlog.get_logger()

#: What tells that the database is away or busy: connection, transaction rollback (a deadlock), no
#: room on the disk, no connection left, a lock that is held, a server that starts.
_AWAY = ("08", "40", "53100", "53300", "55", "57P03")
#: How an id without a time begins.
_NO_TIME = b'"00000000-0000-'


@dataclass(slots=True)
class StoreResult:
    """Count what became of the events of a drain."""

    stored: int = 0
    duplicate: int = 0
    conflicting: int = 0
    dead: int = 0
    refused: int = 0
    #: Rejected messages that are kept as dead letters; they were never accepted.
    quarantined: int = 0

    def add(self, other: StoreResult) -> None:
        """Add another result to this one."""
        self.stored += other.stored
        self.duplicate += other.duplicate
        self.conflicting += other.conflicting
        self.dead += other.dead
        self.refused += other.refused
        self.quarantined += other.quarantined

    def as_dict(self) -> dict[str, int]:
        """Give the counts by name."""
        return {
            "stored": self.stored,
            "duplicate": self.duplicate,
            "conflicting": self.conflicting,
            "dead": self.dead,
            "refused": self.refused,
            "quarantined": self.quarantined,
        }


def store_bodies(
    engine: Engine,
    bodies: Sequence[bytes],
    days: set[date],
    *,
    known_days: set[date],
    zone: str,
    secret_key: str = "",
    within_s: float = 0,
) -> StoreResult:
    """Store batches in one transaction of their own, whatever their events are like.

    The usual way copies the events as they came. Where that does not do, because one of them is
    stored already or may not be stored, one statement stores all that can be. When the database
    refuses an event, the transaction is made again: halved until the bad event is alone and
    becomes a dead letter. Errors that are not the data's fault are raised, with nothing stored.
    Nothing is kept of suppressed people, who are known by hashes that `secret_key` salts:
    SecretKeyMissingError without it. `within_s` limits each statement.
    """
    _ensure_days(engine, days, known_days)
    try:
        copied = _copy_bodies(
            engine, bodies, days, zone=zone, secret_key=secret_key, within_s=within_s
        )
        if copied is not None:
            return copied
        with transaction(engine) as session:
            lock_for_store(session, within_s=within_s)
            limits = read_limits(session, secret_key=secret_key)
            result = _store_together(session, bodies, days, limits, zone=zone)
            result.quarantined = keep_rejected(session, bodies, salts=limits.salts)
            fail_point("drain.before_commit")
            return result
    except (DBAPIError, UnicodeDecodeError) as error:
        if not is_final(error):
            raise
    singles = split_bodies(bodies)
    # Perhaps a purge has dropped a partition that this process still remembered.
    known_days.clear()
    _ensure_days(engine, days | days_of_bodies(singles), known_days)
    with transaction(engine) as session:
        lock_for_store(session, alone=True, within_s=within_s)
        limits = read_limits(session, secret_key=secret_key)
        kept, result = _sift(session, singles, limits, zone=zone)
        result.add(_store_apart(session, kept, zone=zone))
        result.quarantined = keep_rejected(session, bodies, salts=limits.salts)
        return result


def _copy_bodies(
    engine: Engine,
    bodies: Sequence[bytes],
    days: set[date],
    *,
    zone: str,
    secret_key: str,
    within_s: float,
) -> StoreResult | None:
    """Store batches as they came; None, with nothing stored, when they need a closer look."""
    lines = read_batches(bodies)
    if lines is None:
        return None
    try:
        with transaction(engine) as session:
            lock_for_store(session, within_s=within_s)
            limits = read_limits(session, secret_key=secret_key)
            if _may_be_sealed(bodies, days, limits.sealed_through) or has_repeated(session, lines):
                return None
            if limits.salts is not None and has_suppressed(session, lines, limits.salts):
                return None
            result = StoreResult(stored=copy_lines(session, lines, zone=zone))
            fail_point("drain.before_commit")
            return result
    except AlreadyStoredError:
        return None


def bury_body(engine: Engine, single: bytes, detail: str, *, secret_key: str = "") -> StoreResult:
    """Keep a body's only event as a dead letter, in a transaction of its own: it ends its stores.

    Unless it is stored all the same, or its person is suppressed.
    """
    with transaction(engine) as session:
        # Whoever is storing it comes to an end first.
        lock_for_store(session, alone=True)
        salts = read_limits(session, secret_key=secret_key).salts
        kept = _leave_out_suppressed(session, [single], salts)
        result = StoreResult(refused=1 - len(kept))
        result.add(_bury(session, [refuse(item, "unstorable", detail) for item in kept]))
        return result


def is_away(error: DBAPIError) -> bool:
    """Tell whether the database could not have stored anything else either.

    It cannot be reached, is starting, has no room or no connection left, or somebody else holds a
    lock. A connection that broke in the middle says nothing: what was stored may have broken it.
    """
    state = sqlstate(error)
    return state.startswith(_AWAY) if state else not error.connection_invalidated


def _store_together(
    session: Session, bodies: Sequence[bytes], days: set[date], limits: Limits, *, zone: str
) -> StoreResult:
    if not _may_be_sealed(bodies, days, limits.sealed_through):
        return _store(session, bodies, zone=zone, salts=limits.salts)
    kept, result = _sift(session, split_bodies(bodies), limits, zone=zone)
    result.add(_store(session, kept, zone=zone))
    return result


def _may_be_sealed(bodies: Sequence[bytes], days: set[date], sealed: date | None) -> bool:
    """Tell at a glance whether there may be an event of a sealed day."""
    if sealed is None:
        return False
    # The days of ids and of events differ by a little, and an id without a time says nothing.
    near = bool(days) and min(days) <= sealed + timedelta(days=ID_DAY_MARGIN)
    return near or any(_NO_TIME in body for body in bodies)


def _store_apart(session: Session, singles: Sequence[bytes], *, zone: str) -> StoreResult:
    """Store events of which some cannot be stored: halves that work with one statement each."""
    if not singles:
        return StoreResult()
    try:
        with session.begin_nested():
            return _store(session, singles, zone=zone)
    except (DBAPIError, UnicodeDecodeError) as error:
        if not is_final(error):
            raise
        if len(singles) == 1:
            return _bury(session, [refuse(singles[0], "refused", describe_refusal(error))])
    middle = len(singles) // 2
    result = _store_apart(session, singles[:middle], zone=zone)
    result.add(_store_apart(session, singles[middle:], zone=zone))
    return result


def _store(
    session: Session, bodies: Sequence[bytes], *, zone: str, salts: Salts | None = None
) -> StoreResult:
    counts = store_batches(session, bodies, zone=zone, salts=salts)
    conflicting = count_conflicting(session, bodies, salts=salts) if counts.duplicate else 0
    return StoreResult(
        stored=counts.stored,
        duplicate=counts.duplicate - conflicting,
        conflicting=conflicting,
        refused=counts.refused,
    )


def _sift(
    session: Session, singles: Sequence[bytes], limits: Limits, *, zone: str
) -> tuple[list[bytes], StoreResult]:
    """Take out the events of suppressed people, and then those of sealed days."""
    kept = _leave_out_suppressed(session, singles, limits.salts)
    result = StoreResult(refused=len(singles) - len(kept))
    kept, late = _part_sealed(kept, limits.sealed_through, zone=zone)
    result.add(_bury(session, late))
    return kept, result


def _leave_out_suppressed(
    session: Session, singles: Sequence[bytes], salts: Salts | None
) -> list[bytes]:
    """Leave out the events of suppressed people: they may not become dead letters either."""
    if salts is None:
        return list(singles)
    digests = [salts.digest_actor(*read_actor(read_single(single))) for single in singles]
    refused = read_reasons(session, {digest for digest in digests if digest is not None})
    return [
        single for single, digest in zip(singles, digests, strict=True) if digest not in refused
    ]


def _part_sealed(
    singles: Sequence[bytes], sealed: date | None, *, zone: str
) -> tuple[list[bytes], list[Refusal]]:
    """Part the events of sealed days, whose aggregates are final, from the others."""
    if sealed is None:
        return list(singles), []
    kept, late = [], []
    for single in singles:
        day = read_day(single, zone=zone)
        if day is None or day > sealed:
            kept.append(single)
        else:
            late.append(refuse(single, "sealed", f"its day is purged up to {sealed}"))
    return kept, late


def _bury(session: Session, refusals: Sequence[Refusal]) -> StoreResult:
    """Keep refused events as dead letters, unless their id is stored: the first one wins."""
    stored = read_stored_ids(session, [refusal.event_id for refusal in refusals])
    new = [refusal for refusal in refusals if refusal.event_id not in stored]
    dead = insert_dead_letters(session, new)
    for refusal in new:
        log.warning("event_refused", event_id=refusal.event_id, reason=refusal.reason)
    return StoreResult(dead=dead, duplicate=len(refusals) - dead)


def _ensure_days(engine: Engine, days: set[date], known_days: set[date]) -> None:
    missing = days - known_days
    if not missing:
        return
    with transaction(engine) as session:
        made = ensure_partitions(session, missing)
    if made:
        log.info("partitions_made", count=len(made), first=str(made[0]), last=str(made[-1]))
    known_days |= missing
