"""Dead letters: accepted events that could not be stored, with the reason, to be replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base


class DeadLetter(Base):
    """Keep one event that the database refused. The bytes are kept as they came, as text."""

    __tablename__ = "dead_letters"

    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    reason: Mapped[str]
    detail: Mapped[str]
    event: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


@dataclass(frozen=True, slots=True)
class Refusal:
    """Say which event was refused and why. `event` is its batch with this one row, as JSON."""

    event_id: str
    reason: str
    detail: str
    event: str


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
        }
        # In one order: two that keep the same events would wait for each other.
        for item in sorted(refusals, key=lambda item: item.event_id)
    ]
    statement = insert(DeadLetter).values(rows).on_conflict_do_nothing()
    return len(session.execute(statement.returning(DeadLetter.event_id)).all())
