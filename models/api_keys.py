"""API keys: public write keys of sources and secret admin tokens, stored as hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Text, false, func, or_, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base

WRITE, ADMIN = "write", "admin"
ADMIN_SCOPES = ("read", "export", "admin", "erase", "train")


class ApiKey(Base):
    """Keep a key's hash. The key itself is shown once, when it is made."""

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    key_hash: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    #: Write keys: the source of events that name none, the origins a browser may send from (none:
    #: any), and the events a minute.
    source: Mapped[str | None]
    allowed_origins: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    rate_limit: Mapped[int | None]
    #: Every event of a test key is excluded as `test`.
    test: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    #: Of admin tokens, to the minute. A write key is looked up without the database.
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    def status_at(self, now: datetime) -> str:
        """Say whether the key is valid, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        expired = self.expires_at is not None and self.expires_at <= now
        return "expired" if expired else "valid"


@dataclass(frozen=True, slots=True)
class WriteKey:
    """What the door needs to know of a write key."""

    key_id: str
    key_hash: str
    source: str | None
    allowed_origins: frozenset[str]
    rate_limit: int | None
    expires_ms: int | None
    test: bool = False


@dataclass(frozen=True, slots=True)
class AdminToken:
    """What a request needs to know of its admin token."""

    key_id: str
    key_hash: str
    scopes: frozenset[str]
    expires_at: datetime | None
    revoked_at: datetime | None


def hash_key(key: str) -> str:
    """Hash a key for storage and look-up.

    Keys are 192 random bits, so a plain hash is enough: there is nothing to guess. (A write key
    that was brought along is as public as it was; an admin token is always drawn.) Looking a key
    up by its hash leaks nothing either: how long an index or a dictionary takes may tell how a
    hash begins, but nobody can choose a key for the beginning of its hash and build on that.
    """
    # A body may bring half of an emoji for a key.
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def is_same_hash(stored: str, given: str) -> bool:
    """Compare two hashes in constant time."""
    return hmac.compare_digest(stored, given)


def make_key(
    kind: str,
    name: str,
    *,
    scopes: Sequence[str] = (),
    source: str | None = None,
    allowed_origins: Sequence[str] = (),
    rate_limit: int | None = None,
    test: bool = False,
    expires_at: datetime | None = None,
    key: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key: the row to store, and the key itself, which can be read only now.

    `key` is a text that clients send already; without it, one is drawn.
    """
    key = key or f"{'wk' if kind == WRITE else 'at'}_{secrets.token_urlsafe(24)}"
    row = ApiKey(
        key_id=secrets.token_hex(4),
        kind=kind,
        name=name,
        key_hash=hash_key(key),
        scopes=list(scopes),
        source=source,
        allowed_origins=list(allowed_origins),
        rate_limit=rate_limit,
        test=test,
        expires_at=expires_at,
    )
    return row, key


def create_key(session: Session, *, kind: str, name: str, scopes: Sequence[str] = ()) -> str:
    """Make and store a key whose name nobody else can have taken; give the key."""
    row, key = make_key(kind, name, scopes=scopes)
    session.add(row)
    return key


def read_admin_token(connection: Connection, key_hash: str) -> AdminToken | None:
    """Find an admin token by its hash, revoked and expired ones too."""
    row = connection.execute(
        select(
            ApiKey.key_id, ApiKey.key_hash, ApiKey.scopes, ApiKey.expires_at, ApiKey.revoked_at
        ).where(ApiKey.key_hash == key_hash, ApiKey.kind == ADMIN)
    ).one_or_none()
    if row is None or not is_same_hash(row.key_hash, key_hash):
        return None
    return AdminToken(
        key_id=row.key_id,
        key_hash=row.key_hash,
        scopes=frozenset(row.scopes),
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def note_use(connection: Connection, key_id: str, *, now: datetime, every_s: float) -> None:
    """Write when a token was last used, unless another process just did or does: waits for none."""
    due = (
        select(ApiKey.key_id)
        .where(
            ApiKey.key_id == key_id,
            or_(
                ApiKey.last_used_at.is_(None),
                ApiKey.last_used_at <= now - timedelta(seconds=every_s),
            ),
        )
        .with_for_update(skip_locked=True)
    )
    connection.execute(
        update(ApiKey).where(ApiKey.key_id.in_(due.scalar_subquery())).values(last_used_at=now)
    )


def read_write_keys(session: Session) -> dict[str, WriteKey]:
    """Give each write key that is not revoked, by its hash."""
    rows = session.scalars(select(ApiKey).where(ApiKey.kind == WRITE, ApiKey.revoked_at.is_(None)))
    return {
        row.key_hash: WriteKey(
            key_id=row.key_id,
            key_hash=row.key_hash,
            source=row.source,
            allowed_origins=frozenset(row.allowed_origins),
            rate_limit=row.rate_limit,
            expires_ms=int(row.expires_at.timestamp() * 1000) if row.expires_at else None,
            test=row.test,
        )
        for row in rows
    }


def read_keys(
    session: Session, *, limit: int, after: tuple[datetime, str] | None = None
) -> list[ApiKey]:
    """List keys from the oldest on, those after a place in the list."""
    place = tuple_(ApiKey.created_at, ApiKey.key_id)
    query = select(ApiKey).order_by(ApiKey.created_at, ApiKey.key_id).limit(limit)
    return list(session.scalars(query if after is None else query.where(place > after)))
