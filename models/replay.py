"""Dead letters stored after all, as if they had come again.

A replay stores the events and deletes their letters in one transaction, alone among the stores: a
crash leaves both as they were or neither, and whoever comes meanwhile finds the one or the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from event_ids import id_day
from fail_points import fail_point
from intake.letter_reading import read_message, read_row
from intake.rows import Rejected
from models.database import transaction
from models.dead_letter_list import DEAD, LetterFilter
from models.dead_letters import DeadLetter
from models.letter_edit import (
    Installation,
    LetterWithheld,
    check_person,
    open_row,
    read_key,
)
from models.letter_people import is_of_suppressed
from models.partitions import ensure_partitions, lock_for_store
from models.refusals import describe_refusal, is_final
from models.store import Limits, read_limits, read_stored_ids, store_batches

log = structlog.get_logger()

#: Letters of one transaction: while it goes on no worker stores.
CHUNK = 50
#: What one statement may take. An event that takes longer stays a letter.
WITHIN_S = 10.0
_OPTED_OUT, _SEALED, _REFUSED = "opted_out", "sealed", "refused"


@dataclass(slots=True)
class Replayed:
    """Count what became of letters.

    `stored` events are new; of `duplicate` ones the event was stored already. `dead` letters
    failed again. `refused` ones stay as they are: their people opted out or were erased.
    `missing` ones are gone, or not in the state that was asked for.
    """

    stored: int = 0
    duplicate: int = 0
    dead: int = 0
    refused: int = 0
    missing: int = 0

    def as_dict(self) -> dict[str, int]:
        """Give the counts by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A letter that can be stored: the batch of its event alone, and the event's id and time."""

    row: DeadLetter
    body: bytes
    event_id: str
    occurred_at: datetime | None


def replay_letters(
    engine: Engine,
    event_ids: Sequence[UUID],
    *,
    here: Installation,
    now: datetime,
    state: str = DEAD,
) -> Replayed:
    """Store the events of some letters; those that cannot be stored stay, with the new reason.

    Each letter is stored at most once, however often and by however many this is asked for.
    """
    total = Replayed()
    ids = sorted(set(event_ids))
    for start in range(0, len(ids), CHUNK):
        wanted = LetterFilter(state=state, event_ids=tuple(ids[start : start + CHUNK]))
        _make_partitions(engine, wanted, here)
        with transaction(engine) as session:
            # Every store waits behind this one, which waits for nobody who holds a letter.
            lock_for_store(session, alone=True, within_s=WITHIN_S)
            done = _replay(session, wanted, here, now=now)
            fail_point("replay.before_commit")
        fail_point("replay.committed")
        for name, count in done.as_dict().items():
            setattr(total, name, getattr(total, name) + count)
    if ids:
        log.info("dead_letters_replayed", **total.as_dict())
    return total


def _replay(
    session: Session, wanted: LetterFilter, here: Installation, *, now: datetime
) -> Replayed:
    limits = read_limits(session, secret_key=here.secret_key)
    rows = _lock_rows(session, wanted)
    done = Replayed(missing=len(wanted.event_ids or ()) - len(rows))
    failed: list[tuple[DeadLetter, str, str]] = []
    ready: list[_Ready] = []
    for row in rows:
        try:
            check_person(session, row, limits)
            item = _prepare(session, row, here)
            _check_person_of(session, row, item.body, limits)
        except LetterWithheld:
            done.refused += 1
        except Rejected as verdict:
            if verdict.reason == _OPTED_OUT:
                done.refused += 1
            else:
                failed.append((row, verdict.reason, verdict.detail))
        else:
            if _is_sealed(item, limits.sealed_through, zone=here.zone):
                through = f"its day is purged up to {limits.sealed_through}"
                failed.append((row, _SEALED, through))
            else:
                ready.append(item)
    known = read_stored_ids(session, [item.event_id for item in ready])
    new = [item for item in ready if item.event_id not in known]
    stored, refused = _store(session, new, zone=here.zone)
    fail_point("replay.stored")
    gone = {item.row.event_id for item in ready} - {row.event_id for row, _, _ in refused}
    _delete(session, gone)
    for row, reason, detail in (*failed, *refused):
        row.reason, row.detail = reason, detail.replace("\0", "\\u0000")
        row.tries, row.tried_at = row.tries + 1, now
        row.discarded_at = row.discarded_by = None
    session.flush()
    done.stored, done.duplicate = stored, len(gone) - stored
    done.dead = len(failed) + len(refused)
    return done


def _store(
    session: Session, items: Sequence[_Ready], *, zone: str
) -> tuple[int, list[tuple[DeadLetter, str, str]]]:
    """Store what can be stored, halving around what cannot; give the count, and that."""
    if not items:
        return 0, []
    try:
        with session.begin_nested():
            return store_batches(session, [item.body for item in items], zone=zone).stored, []
    except (DBAPIError, UnicodeDecodeError) as error:
        if not is_final(error):
            raise
        if len(items) == 1:
            return 0, [(items[0].row, _REFUSED, describe_refusal(error))]
    middle = len(items) // 2
    stored, refused = _store(session, items[:middle], zone=zone)
    more, others = _store(session, items[middle:], zone=zone)
    return stored + more, [*refused, *others]


def _make_partitions(engine: Engine, wanted: LetterFilter, here: Installation) -> None:
    """Make the partitions that the events need, before anybody is held off."""
    with transaction(engine) as session:
        days = set(_days_of(session, wanted, here))
    if days:
        with transaction(engine) as session:
            ensure_partitions(session, days)


def _days_of(session: Session, wanted: LetterFilter, here: Installation) -> Iterator[date]:
    for row in session.scalars(select(DeadLetter).where(*wanted.conditions())):
        try:
            day = id_day(_prepare(session, row, here).event_id)
        except (Rejected, ValueError, OverflowError):
            # Nothing of it will be stored; or its id is of a year that no calendar has.
            continue
        if day is not None:
            yield day


def _prepare(session: Session, row: DeadLetter, here: Installation) -> _Ready:
    letter = open_row(row, row.event)
    if letter.dialect is None:
        body = read_row(letter)
        event_id, occurred_at = letter.letter_id, (letter.event or {}).get("occurred_at")
    else:
        original = None if row.original is None else open_row(row, row.original)
        key = read_key(session, letter)
        body, made = read_message(letter, original=original, key=key, rules=here.rules.messages)
        event_id, occurred_at = made.event_id, made.occurred_at
    return _Ready(row, body, event_id, _read_moment(occurred_at))


def _lock_rows(session: Session, wanted: LetterFilter) -> list[DeadLetter]:
    statement = select(DeadLetter).where(*wanted.conditions()).order_by(DeadLetter.event_id)
    return list(session.scalars(statement.with_for_update()))


def _delete(session: Session, event_ids: set[UUID]) -> None:
    if event_ids:
        session.execute(
            delete(DeadLetter)
            .where(DeadLetter.event_id.in_(event_ids))
            .execution_options(synchronize_session=False)
        )


def _is_sealed(item: _Ready, sealed: date | None, *, zone: str) -> bool:
    if sealed is None or item.occurred_at is None:
        return False
    try:
        return item.occurred_at.astimezone(ZoneInfo(zone)).date() <= sealed
    except OverflowError:
        return False


def _check_person_of(session: Session, row: DeadLetter, body: bytes, limits: Limits) -> None:
    """Withhold a message whose translation names a suppressed person."""
    if row.dialect is not None and is_of_suppressed(
        session, body.decode(), dialect=None, salts=limits.salts
    ):
        raise LetterWithheld


def _read_moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
