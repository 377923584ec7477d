"""Dead letters: what could not be stored, with the reason, to be replayed.

These are accepted events that the database refused, and messages of other systems' SDKs that the
door could not accept but had to answer as taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Uuid, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base


class DeadLetter(Base):
    """Keep one event or message. `event` is its batch with this one alone, as JSON.

    `dialect` says in whose words a rejected message is; it is empty for an accepted event. The id
    of a rejected message is no event's.
    """

    __tablename__ = "dead_letters"

    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    reason: Mapped[str]
    detail: Mapped[str]
    event: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # The table has it last: columns are added at its end.
    dialect: Mapped[str | None]

    # They are purged by age.
    __table_args__ = (Index("ix_dead_letters_created_at", "created_at"),)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Say which event was refused and why. `event` is its batch with this one row, as JSON."""

    event_id: str
    reason: str
    detail: str
    event: str
    dialect: str | None = None


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
        }
        # In one order: two that keep the same events would wait for each other.
        for item in sorted(refusals, key=lambda item: item.event_id)
    ]
    statement = insert(DeadLetter).on_conflict_do_nothing().returning(DeadLetter.event_id)
    return len(session.execute(statement, rows).all())


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
