"""API keys: public write keys of sources and secret admin tokens, stored as hashes."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from sqlalchemy import Text, func, select, text
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
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


def hash_key(key: str) -> str:
    """Hash a key for storage and look-up.

    Keys are 192 random bits, so a plain hash is enough: there is nothing to guess.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def create_key(session: Session, *, kind: str, name: str, scopes: tuple[str, ...] = ()) -> str:
    """Make a key, store its hash and give the key: the only time that it can be read."""
    key = f"{'wk' if kind == WRITE else 'at'}_{secrets.token_urlsafe(24)}"
    session.add(
        ApiKey(
            key_id=secrets.token_hex(4),
            kind=kind,
            name=name,
            key_hash=hash_key(key),
            scopes=list(scopes),
        )
    )
    return key


def read_key(session: Session, key: str, *, kind: str) -> ApiKey | None:
    """Find the valid key with this text, by its hash."""
    return session.scalar(
        select(ApiKey).where(
            ApiKey.key_hash == hash_key(key), ApiKey.kind == kind, ApiKey.revoked_at.is_(None)
        )
    )


def read_write_keys(session: Session) -> dict[str, str]:
    """Give the id of each valid write key by its hash."""
    rows = session.execute(
        select(ApiKey.key_hash, ApiKey.key_id).where(
            ApiKey.kind == WRITE, ApiKey.revoked_at.is_(None)
        )
    )
    return {row.key_hash: row.key_id for row in rows}
