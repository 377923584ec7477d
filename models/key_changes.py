"""Issue, rotate and revoke keys, within the rules that keep an installation reachable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, func, or_, select, text
from sqlalchemy.orm import Session

from models.api_keys import ADMIN, ApiKey, hash_key, make_key

#: Held while keys are changed: the rules look at several rows.
_KEYS_LOCK = 7_301_004
DEFAULT_GRACE = timedelta(hours=24)
#: Valid admin tokens of one name: the one in use, and the one that replaces it.
MAX_VALID = 2


class KeyRefused(Exception):
    """A change of keys that the rules do not allow: a code for programs, a text for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def issue_key(
    session: Session,
    *,
    kind: str,
    name: str,
    now: datetime,
    scopes: Sequence[str] = (),
    source: str | None = None,
    allowed_origins: Sequence[str] = (),
    rate_limit: int | None = None,
    test: bool = False,
    expires_at: datetime | None = None,
    key: str | None = None,
) -> tuple[ApiKey, str]:
    """Store a new key; give its row and the key. Raises KeyRefused.

    An admin token's name is its own while it is valid: rotation counts by name. A write key may be
    a text that clients send already, unless it was registered before: one that was revoked stays
    so.
    """
    if key is not None and kind == ADMIN:
        raise ValueError("an admin token is a secret, and always drawn")
    _lock_keys(session)
    if key is not None and session.scalar(
        select(ApiKey.key_id).where(ApiKey.key_hash == hash_key(key))
    ):
        raise KeyRefused("key_known", "this key is registered already, or was and is revoked")
    if kind == ADMIN and _count_valid(session, name, now=now):
        raise KeyRefused(
            "name_taken", f"a valid admin token is called {name!r}: rotate it, or take another name"
        )
    row, key = make_key(
        kind,
        name,
        scopes=scopes,
        source=source,
        allowed_origins=allowed_origins,
        rate_limit=rate_limit,
        test=test,
        expires_at=expires_at,
        key=key,
    )
    row.created_at = now
    session.add(row)
    session.flush()
    return row, key


def rotate_token(
    session: Session, old: ApiKey, *, now: datetime, grace: timedelta = DEFAULT_GRACE
) -> tuple[ApiKey, str]:
    """Store a second token like an admin token, which goes on for `grace`. Raises KeyRefused.

    The new one lives as long as the old one was meant to. Write keys do not rotate: ids of events
    are made with the key's id, and a retry with another key would be counted again.
    """
    _lock_keys(session)
    session.refresh(old)
    if old.kind != ADMIN:
        raise KeyRefused(
            "not_rotatable", "a write key is public: make another one, then revoke this one"
        )
    if old.status_at(now) != "valid":
        raise KeyRefused("not_valid", f"this admin token is {old.status_at(now)}")
    if _count_valid(session, old.name, now=now) >= MAX_VALID:
        raise KeyRefused(
            "already_rotated",
            f"two tokens called {old.name!r} are valid already: revoke the older one first",
        )
    row, key = make_key(
        ADMIN,
        old.name,
        scopes=old.scopes,
        expires_at=old.expires_at and now + (old.expires_at - old.created_at),
    )
    row.created_at = now
    end = now + grace
    old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
    session.add(row)
    session.flush()
    return row, key


def revoke_key(session: Session, row: ApiKey, *, now: datetime) -> None:
    """Make a key invalid; one that was revoked stays as it is. Raises KeyRefused."""
    _lock_keys(session)
    session.refresh(row)
    if row.status_at(now) == "valid" and "admin" in row.scopes and _is_last(session, row, now=now):
        raise KeyRefused(
            "last_admin_token",
            "no other valid token has the scope admin: make one first, then revoke this one",
        )
    if row.revoked_at is None:
        row.revoked_at = now
    session.flush()


def _lock_keys(session: Session) -> None:
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _KEYS_LOCK})


def _count_valid(session: Session, name: str, *, now: datetime) -> int:
    return session.scalar(_valid_tokens(now).where(ApiKey.name == name)) or 0


def _is_last(session: Session, row: ApiKey, *, now: datetime) -> bool:
    others = _valid_tokens(now).where(
        ApiKey.key_id != row.key_id, ApiKey.scopes.contains(["admin"])
    )
    return not session.scalar(others)


def _valid_tokens(now: datetime) -> Select[int]:
    return select(func.count()).where(
        ApiKey.kind == ADMIN,
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
    )
