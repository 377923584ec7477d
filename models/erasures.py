"""Erasures: requests to erase a person, and the receipts of what was deleted."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import LargeBinary, Uuid, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from event_ids import uuid7
from models.base import Base
from models.person import Person
from models.suppressions import ERASED, Salts, SecretKeyMissingError, suppress

QUEUED, DONE = "queued", "done"
#: What a receipt says of places that hold nobody's events, and of the figures that stay.
NOTES = {
    "model": "holds products only, no people; trained without this person's events from now on",
    "recommendation_lists": "made when they are asked for, never kept",
    "aggregates": "days that are not purged are counted again within minutes; "
    "figures of purged days are anonymous and stay",
}


class Erasure(Base):
    """Keep one erasure: the hashes of the ids and the counts.

    The ids themselves stand in `subject` until the work is finished, so that it survives a crash.
    """

    __tablename__ = "erasures"

    erasure_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    digests: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))
    subject: Mapped[dict[str, Any] | None]
    status: Mapped[str]
    requested_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any] | None]
    signature: Mapped[str | None]


def request_erasure(session: Session, salts: Salts, person: Person, *, now: datetime) -> Erasure:
    """Refuse the person's events from now on, and note that those held are to be deleted.

    A user's linked anonymous ids are the user's. Commit it before anything is deleted.
    """
    erasure = Erasure(
        erasure_id=UUID(uuid7(int(now.timestamp() * 1000))),
        digests=[],
        subject=None,
        status=QUEUED,
        requested_at=now,
        counts={},
    )
    widen(session, erasure, salts, person)
    session.add(erasure)
    session.flush()
    return erasure


def widen(session: Session, erasure: Erasure, salts: Salts, person: Person) -> Person:
    """Make the anonymous ids that are linked to the person part of the erasure."""
    whole = person.with_linked(session)
    digests = salts.digests(whole.user_id, whole.anonymous_ids)
    suppress(session, salts, digests, reason=ERASED)
    erasure.digests = sorted(digests)
    erasure.subject = whole.as_dict()
    return whole


def count_up(session: Session, erasure_id: UUID, kind: str, amount: int) -> None:
    """Add to one count of an erasure, in the transaction that deleted as many."""
    erasure = session.get_one(Erasure, erasure_id, with_for_update=True, populate_existing=True)
    counts = erasure.counts or {}
    erasure.counts = {**counts, kind: counts.get(kind, 0) + amount}


def finish(session: Session, erasure_id: UUID, *, secret_key: str, now: datetime) -> Erasure:
    """Forget the person's ids and sign the receipt."""
    erasure = session.get_one(Erasure, erasure_id, with_for_update=True, populate_existing=True)
    erasure.status, erasure.finished_at, erasure.subject = DONE, now, None
    erasure.signature = sign(receipt_of(erasure), secret_key)
    return erasure


def receipt_of(erasure: Erasure) -> dict[str, Any]:
    """Give what a receipt states, as JSON values: this is what is signed."""
    finished = erasure.finished_at
    return {
        "erasure_id": str(erasure.erasure_id),
        "status": erasure.status,
        "requested_at": erasure.requested_at.isoformat(),
        "finished_at": None if finished is None else finished.isoformat(),
        "digests": [digest.hex() for digest in erasure.digests],
        "counts": erasure.counts or {},
    }


def sign(receipt: dict[str, Any], secret_key: str) -> str:
    """Sign a receipt: HMAC-SHA256 with SECRET_KEY over its JSON, names sorted, no spaces."""
    if not secret_key:
        raise SecretKeyMissingError
    text = msgspec.json.encode(receipt, order="sorted")
    return hmac.digest(secret_key.encode(), text, "sha256").hex()


def is_genuine(erasure: Erasure, secret_key: str) -> bool:
    """Tell whether a finished erasure's receipt is as it was signed."""
    expected = sign(receipt_of(erasure), secret_key)
    return erasure.signature is not None and hmac.compare_digest(erasure.signature, expected)


def read_unfinished(session: Session) -> list[UUID]:
    """List the erasures that are not finished, oldest first."""
    return list(
        session.scalars(
            select(Erasure.erasure_id).where(Erasure.status != DONE).order_by(Erasure.erasure_id)
        )
    )


def list_erasures(session: Session, *, before: UUID | None, limit: int) -> Sequence[Erasure]:
    """List erasures, newest first, from the one behind `before` on."""
    statement = select(Erasure).order_by(Erasure.erasure_id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(Erasure.erasure_id < before)
    return session.scalars(statement).all()
