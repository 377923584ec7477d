"""Identities: which anonymous id belongs to which user. Events are never rewritten.

Reports count a linked anonymous id as its user, so a change of links changes the figures of every
day on which the id was seen. Finding those days takes a look into each partition: whoever changes
a link leaves a mark, and the next aggregation finds the days of all marks at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base


class IdentityLink(Base):
    """Link one anonymous id to the user who was first seen with it."""

    __tablename__ = "identities"
    __table_args__ = (Index("ix_identities_user", "user_id"),)

    anonymous_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    linked_at: Mapped[datetime] = mapped_column(server_default=func.now())


class DirtyIdentity(Base):
    """Mark an anonymous id whose link has changed and whose days nobody has looked for yet."""

    __tablename__ = "dirty_identities"

    mark: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    anonymous_id: Mapped[str]


_DAYS = """
SELECT DISTINCT (occurred_at AT TIME ZONE :zone)::date AS day FROM events
WHERE anonymous_id IN (SELECT anonymous_id FROM {marks}) AND user_id IS NULL"""
#: The days whose figures a changed link changes, before the aggregation has found them.
RELINKED_DAYS = _DAYS.format(marks="dirty_identities")


def mark_relinked_days(session: Session, *, zone: str) -> int:
    """Mark the days on which relinked ids were seen, in the open transaction; give how many.

    An event of such an id that is stored later marks its day itself, and is counted with the link
    as it is then; so nothing falls between the two.
    """
    found = session.execute(
        text(
            "WITH taken AS (DELETE FROM dirty_identities RETURNING anonymous_id) "
            f"INSERT INTO dirty_days (day) {_DAYS.format(marks='taken')} RETURNING day"
        ),
        {"zone": zone},
    )
    return len(found.all())


def link(session: Session, anonymous_id: str, user_id: str) -> IdentityLink:
    """Link an anonymous id unless it is linked already; give its link, the first one."""
    made: IdentityLink | None = session.scalar(
        insert(IdentityLink)
        .values(anonymous_id=anonymous_id, user_id=user_id)
        .on_conflict_do_nothing()
        .returning(IdentityLink)
    )
    if made is None:
        return session.get_one(IdentityLink, anonymous_id, populate_existing=True)
    session.add(DirtyIdentity(anonymous_id=anonymous_id))
    return made


def unlink(session: Session, anonymous_id: str) -> IdentityLink | None:
    """Undo a link and give what it was; None when there is none."""
    undone: IdentityLink | None = session.scalar(
        delete(IdentityLink)
        .where(IdentityLink.anonymous_id == anonymous_id)
        .returning(IdentityLink)
    )
    if undone is not None:
        session.add(DirtyIdentity(anonymous_id=anonymous_id))
    return undone


def read_linked_ids(session: Session, user_id: str) -> list[str]:
    """List the anonymous ids that are linked to a user."""
    return list(
        session.scalars(
            select(IdentityLink.anonymous_id)
            .where(IdentityLink.user_id == user_id)
            .order_by(IdentityLink.anonymous_id)
        )
    )


def list_links(
    session: Session,
    *,
    user_id: str | None = None,
    anonymous_id: str | None = None,
    after: str | None = None,
    limit: int,
) -> Sequence[IdentityLink]:
    """List links by their anonymous id, from the one behind `after` on."""
    statement = select(IdentityLink).order_by(IdentityLink.anonymous_id).limit(limit)
    if user_id is not None:
        statement = statement.where(IdentityLink.user_id == user_id)
    if anonymous_id is not None:
        statement = statement.where(IdentityLink.anonymous_id == anonymous_id)
    if after is not None:
        statement = statement.where(IdentityLink.anonymous_id > after)
    return session.scalars(statement).all()
