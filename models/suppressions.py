"""Suppressions: people whose events are not taken any more, known by a hash only.

Someone who reads the database learns from a hash neither the id nor, by trying ids, whether it
belongs to one: the salt comes from SECRET_KEY, which is not in the database.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base

USER, ANONYMOUS = "user", "anonymous"
OPT_OUT, ERASED = "opt_out", "erased"
#: A row of this kind is no person: it tells with which SECRET_KEY the others were hashed.
_CHECK = "check"


class SecretKeyMissingError(RuntimeError):
    """People cannot be told apart by their hashes: SECRET_KEY is not set."""

    def __init__(self) -> None:
        super().__init__(
            "SECRET_KEY must be set, the same for every process: opt-outs and erasures are kept "
            "as hashes that it salts"
        )


class Suppression(Base):
    """Refuse the events of one user or anonymous id: who opted out, or was erased."""

    __tablename__ = "suppressions"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    kind: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


@dataclass(frozen=True, slots=True)
class Salts:
    """What stands before an id when it is hashed, and a hash that tells the salts apart."""

    user: bytes
    anonymous: bytes
    check: bytes

    @classmethod
    def of(cls, secret_key: str) -> Salts:
        """Make the salts of an installation. Raises SecretKeyMissingError."""
        if not secret_key:
            raise SecretKeyMissingError
        salt = hmac.digest(secret_key.encode(), b"millrace suppressions", "sha256")
        return cls(
            user=salt + b"user\0",
            anonymous=salt + b"anonymous\0",
            check=hashlib.sha256(salt + b"check\0").digest(),
        )

    def digest_user(self, user_id: str) -> bytes:
        """Hash a user id."""
        return hashlib.sha256(self.user + user_id.encode()).digest()

    def digest_anonymous(self, anonymous_id: str) -> bytes:
        """Hash an anonymous id."""
        return hashlib.sha256(self.anonymous + anonymous_id.encode()).digest()

    def digest_actor(self, user_id: str | None, anonymous_id: str | None) -> bytes | None:
        """Hash the id that an event goes by: its user, or its anonymous id when it has none."""
        if user_id is not None:
            return self.digest_user(user_id)
        return None if anonymous_id is None else self.digest_anonymous(anonymous_id)

    def digests(self, user_id: str | None, anonymous_ids: Iterable[str]) -> dict[bytes, str]:
        """Hash all ids of a person; give the kind of each hash."""
        found = {} if user_id is None else {self.digest_user(user_id): USER}
        return found | {self.digest_anonymous(item): ANONYMOUS for item in anonymous_ids}

    def as_parameters(self) -> dict[str, bytes]:
        """Give the parameters of `digest_sql`."""
        return {"user_salt": self.user, "anonymous_salt": self.anonymous}


def digest_sql(user_id: str = "user_id", anonymous_id: str = "anonymous_id") -> str:
    """Write `Salts.digest_actor` as an expression over two columns."""
    hashed = "sha256(CAST(:{kind}_salt AS bytea) || convert_to({column}, 'UTF8'))"
    return (
        f"coalesce({hashed.format(kind=USER, column=user_id)}, "
        f"{hashed.format(kind=ANONYMOUS, column=anonymous_id)})"
    )


def has_suppressions(session: Session) -> bool:
    """Tell whether anybody is suppressed."""
    return bool(session.scalar(text("SELECT EXISTS (SELECT FROM suppressions)")))


def suppress(session: Session, salts: Salts, digests: dict[bytes, str], *, reason: str) -> int:
    """Refuse the events of some ids from now on; give how many of them are new.

    Who opted out and is erased later counts as erased: that cannot be taken back.
    """
    if not digests:
        return 0
    known = read_reasons(session, digests)
    rows = [
        {"digest": digest, "kind": kind, "reason": reason}
        for digest, kind in sorted(digests.items())
    ]
    rows.append({"digest": salts.check, "kind": _CHECK, "reason": _CHECK})
    statement = insert(Suppression).values(rows)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["digest"],
            set_={"reason": statement.excluded.reason, "created_at": func.now()},
            where=(statement.excluded.reason == ERASED) & (Suppression.reason == OPT_OUT),
        )
    )
    return len(digests) - len(known)


def lift(session: Session, digests: Collection[bytes]) -> int:
    """Take back an opt-out; give how many ids it was for. Erased people stay erased."""
    lifted = session.execute(
        delete(Suppression)
        .where(Suppression.digest.in_(digests), Suppression.reason == OPT_OUT)
        .returning(Suppression.digest)
    )
    return len(lifted.all())


def read_reasons(session: Session, digests: Collection[bytes]) -> dict[bytes, str]:
    """Give why some of these ids are suppressed, by their hash."""
    if not digests:
        return {}
    rows = session.execute(
        select(Suppression.digest, Suppression.reason).where(Suppression.digest.in_(digests))
    )
    return {row.digest: row.reason for row in rows}


def read_version(session: Session) -> tuple[int, int]:
    """Give what changes whenever a suppression comes or goes: the count, and a sum over all.

    Times would not do: of two who come, the one that commits last may have begun first.
    """
    count, digest = session.execute(
        text(
            "SELECT count(*), coalesce(bit_xor(hashtextextended(CAST(digest AS text), 0)), 0) "
            "FROM suppressions"
        )
    ).one()
    return int(count), int(digest)


def read_digests(session: Session) -> frozenset[bytes]:
    """Give the hashes of all suppressed ids."""
    return frozenset(session.scalars(select(Suppression.digest)))


def uses_another_key(session: Session, salts: Salts) -> bool:
    """Tell whether there are suppressions that were hashed with another SECRET_KEY."""
    found: Sequence[bytes] = session.scalars(
        select(Suppression.digest).where(Suppression.kind == _CHECK)
    ).all()
    return any(digest != salts.check for digest in found)
