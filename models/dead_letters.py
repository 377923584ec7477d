"""Dead letters: what could not be stored, with the reason, to be replayed.

These are accepted events that the database refused, and messages of other systems' SDKs that the
door could not accept but had to answer as taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import Index, Uuid, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base

log = structlog.get_logger()

_MAX_TYPE = 100

#: An accepted event's letter whose sender mended the event and sent it again under its id. Only
#: what came in after the letter was kept is told apart from one event that is in both tables.
SUPERSEDED = """dialect IS NULL AND (
    SELECT events.received_at > dead_letters.created_at FROM events
    WHERE events.event_id = dead_letters.event_id)"""


class DeadLetter(Base):
    """Keep one event or message. `event` is its batch with this one alone, as JSON.

    `dialect` says in whose words a rejected message is; it is empty for an accepted event. The id
    of a rejected message is no event's. A letter that is stored after all is deleted; one that is
    given up stays, discarded, until it is purged by age. `original` is what `event` was before it
    was edited for the first time.
    """

    __tablename__ = "dead_letters"

    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    reason: Mapped[str]
    detail: Mapped[str]
    event: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # The table has these last: columns are added at its end.
    dialect: Mapped[str | None]
    event_type: Mapped[str | None]
    original: Mapped[str | None]
    edited_at: Mapped[datetime | None]
    edited_by: Mapped[str | None]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    tried_at: Mapped[datetime | None]
    discarded_at: Mapped[datetime | None]
    discarded_by: Mapped[str | None]

    __table_args__ = (
        # They are purged by age.
        Index("ix_dead_letters_created_at", "created_at", "event_id"),
        # Each serves a page of the list in its order, however many letters there are.
        Index(
            "ix_dead_letters_open",
            "created_at",
            "event_id",
            postgresql_where=text("discarded_at IS NULL"),
        ),
        Index("ix_dead_letters_reason", "reason", "created_at", "event_id"),
        Index("ix_dead_letters_event_type", "event_type", "created_at", "event_id"),
        Index("ix_dead_letters_dialect", "dialect", "created_at", "event_id"),
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Say which event was refused and why. `event` is its batch with this one row, as JSON."""

    event_id: str
    reason: str
    detail: str
    event: str
    dialect: str | None = None


class _Typed(msgspec.Struct):
    event_type: str | None = None


class _Body(msgspec.Struct):
    events: tuple[_Typed]


_read_body = msgspec.json.Decoder(_Body).decode


def insert_dead_letters(session: Session, refusals: Sequence[Refusal]) -> int:
    """Keep refused events; give how many are new. The same event is kept once."""
    if not refusals:
        return 0
    rows: list[dict[str, Any]] = [
        {
            "event_id": item.event_id,
            "reason": item.reason,
            "detail": item.detail,
            "event": item.event,
            "dialect": item.dialect,
            "event_type": read_event_type(item.event),
        }
        # In one order: two that keep the same events would wait for each other.
        for item in sorted(refusals, key=lambda item: item.event_id)
    ]
    statement = insert(DeadLetter).on_conflict_do_nothing().returning(DeadLetter.reason)
    kept = session.scalars(statement, rows).all()
    if kept:
        log.warning("dead_letters_kept", count=len(kept), reasons=dict(Counter(kept)))
    return len(kept)


def read_event_type(event: str) -> str | None:
    """Read the type of a letter's only event; None where there is none to be read."""
    try:
        found = _read_body(event).events[0].event_type
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return None
    return found and found[:_MAX_TYPE].replace("\0", "\ufffd")


def drop_superseded(session: Session) -> int:
    """Delete the letters in whose place a mended event is stored; give how many."""
    gone = session.execute(
        text(
            "DELETE FROM dead_letters WHERE event_id IN (SELECT event_id FROM dead_letters "
            # Who holds one replays it: then it goes anyway.
            f"WHERE {SUPERSEDED} ORDER BY event_id FOR UPDATE SKIP LOCKED) RETURNING event_id"
        )
    )
    count = len(gone.all())
    if count:
        log.info("dead_letters_superseded", count=count)
    return count


def purge_dead_letters(session: Session, before: date, *, dry_run: bool, limit: int) -> int:
    """Delete up to `limit` dead letters from before a day, in UTC; give how many.

    A dry run counts them all.
    """
    parameters = {"before": datetime(before.year, before.month, before.day, tzinfo=UTC)}
    if dry_run:
        counted = text("SELECT count(*) FROM dead_letters WHERE created_at < :before")
        return int(session.execute(counted, parameters).scalar_one())
    gone = session.execute(
        text(
            "DELETE FROM dead_letters WHERE event_id IN (SELECT event_id FROM dead_letters "
            "WHERE created_at < :before LIMIT :limit) RETURNING event_id"
        ),
        {**parameters, "limit": limit},
    )
    return len(gone.all())
