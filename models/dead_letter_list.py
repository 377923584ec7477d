"""The list of dead letters: filters, pages, counts; and the letters that are given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, select, text, tuple_, update
from sqlalchemy.orm import Session

from models.dead_letters import DeadLetter

#: States. A letter that is stored after all is no letter any more.
DEAD, DISCARDED, ANY = "dead", "discarded", "any"
#: Stands for the dialect of accepted events, which are in our own words.
NONE = "none"

_SHOWN = (
    DeadLetter.event_id,
    DeadLetter.reason,
    DeadLetter.detail,
    DeadLetter.dialect,
    DeadLetter.event_type,
    DeadLetter.created_at,
    DeadLetter.edited_at,
    DeadLetter.edited_by,
    DeadLetter.tries,
    DeadLetter.tried_at,
    DeadLetter.discarded_at,
    DeadLetter.discarded_by,
    func.octet_length(DeadLetter.event).label("size_bytes"),
)


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Say which letters are wanted: those that meet every condition.

    `since` and `until` bound when they were kept, half-open; `dialect` may be NONE.
    """

    state: str = DEAD
    reason: str | None = None
    event_type: str | None = None
    dialect: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    event_ids: tuple[UUID, ...] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Write the conditions over the table."""
        found: list[ColumnElement[bool]] = []
        if self.state == DEAD:
            found.append(DeadLetter.discarded_at.is_(None))
        elif self.state == DISCARDED:
            found.append(DeadLetter.discarded_at.is_not(None))
        if self.reason is not None:
            found.append(DeadLetter.reason == self.reason)
        if self.event_type is not None:
            found.append(DeadLetter.event_type == self.event_type)
        if self.dialect is not None:
            given = None if self.dialect == NONE else self.dialect
            found.append(DeadLetter.dialect == given)
        if self.since is not None:
            found.append(DeadLetter.created_at >= self.since)
        if self.until is not None:
            found.append(DeadLetter.created_at < self.until)
        if self.event_ids is not None:
            found.append(DeadLetter.event_id.in_(self.event_ids))
        return found


#: Where a page ends: when its last letter was kept, and the letter's id.
Place = tuple[datetime, UUID]
_place = tuple_(DeadLetter.created_at, DeadLetter.event_id)


def read_letters(
    session: Session, wanted: LetterFilter, *, before: Place | None, limit: int
) -> Sequence[Any]:
    """Read the newest letters that are wanted, without what they hold."""
    statement = select(*_SHOWN).where(*wanted.conditions())
    if before is not None:
        statement = statement.where(_place < _at(before))
    newest_first = (DeadLetter.created_at.desc(), DeadLetter.event_id.desc())
    return session.execute(statement.order_by(*newest_first).limit(limit)).all()


def read_places(
    session: Session, wanted: LetterFilter, *, after: Place | None, limit: int
) -> list[Place]:
    """Give the places of the oldest letters that are wanted, to work through them in order."""
    statement = select(DeadLetter.created_at, DeadLetter.event_id).where(*wanted.conditions())
    if after is not None:
        statement = statement.where(_place > _at(after))
    rows = session.execute(
        statement.order_by(DeadLetter.created_at, DeadLetter.event_id).limit(limit)
    )
    return [(row.created_at, row.event_id) for row in rows]


def count_letters(session: Session, wanted: LetterFilter) -> int:
    """Count the letters that are wanted."""
    counted = select(func.count()).select_from(DeadLetter).where(*wanted.conditions())
    return session.scalar(counted) or 0


def count_by_reason(
    session: Session, wanted: LetterFilter, *, recent_since: datetime
) -> Sequence[Any]:
    """Count letters by dialect and reason: all, those kept lately, and when the first and last."""
    statement = (
        select(
            DeadLetter.dialect,
            DeadLetter.reason,
            func.count().label("letters"),
            func.count().filter(DeadLetter.created_at >= recent_since).label("recent"),
            func.min(DeadLetter.created_at).label("oldest"),
            func.max(DeadLetter.created_at).label("newest"),
        )
        .where(*wanted.conditions())
        .group_by(DeadLetter.dialect, DeadLetter.reason)
        .order_by(func.count().desc(), DeadLetter.reason, DeadLetter.dialect)
    )
    return session.execute(statement).all()


def count_up_to(session: Session, limit: int) -> int:
    """Count the dead letters that wait for somebody, and stop counting beyond `limit`."""
    counted = text(
        "SELECT count(*) FROM "
        "(SELECT FROM dead_letters WHERE discarded_at IS NULL LIMIT :limit) AS waiting"
    )
    return int(session.scalar(counted, {"limit": limit + 1}) or 0)


def discard_letters(session: Session, event_ids: Sequence[UUID], *, by: str, now: datetime) -> int:
    """Give letters up: they stay, with who did it and when, until they are purged. Count them."""
    if not event_ids:
        return 0
    # In one order: two at once would wait for each other.
    open_ones = (
        select(DeadLetter.event_id)
        .where(DeadLetter.event_id.in_(event_ids), DeadLetter.discarded_at.is_(None))
        .order_by(DeadLetter.event_id)
        .with_for_update()
    )
    ids = session.scalars(open_ones).all()
    if ids:
        session.execute(
            update(DeadLetter)
            .where(DeadLetter.event_id.in_(ids))
            .values(discarded_at=now, discarded_by=by)
        )
    return len(ids)


def _at(place: Place) -> Any:
    created_at, event_id = place
    return tuple_(literal(created_at), literal(event_id))
