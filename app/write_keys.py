"""Write keys at the door: who sends, from which pages, with which source."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.orm import Session
from werkzeug.wrappers import Request

from app.authorization import read_authorization
from app.errors import Problem
from app.snapshot import Snapshot
from models.api_keys import WriteKey, hash_key, is_same_hash, read_write_keys


class KeysNotLoadedError(Exception):
    """A write key cannot be judged: the database is away, and it may be newer than those known."""


@dataclass(frozen=True, slots=True)
class _Known:
    keys: dict[str, WriteKey] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)


class WriteKeys:
    """The write keys that are not revoked, known without asking the database.

    A new or revoked key is known within `refresh_s`; while the database is away the last ones
    known stay valid.
    """

    def __init__(self, engine: Engine, *, refresh_s: float = 5.0, patience_s: float = 1.0) -> None:
        #: How long a request waits for the first read of a new process.
        self.patience_s = patience_s
        self._known = Snapshot(engine, _read, _Known(), name="write-keys", refresh_s=refresh_s)

    def find(self, key: str) -> WriteKey | None:
        """Give what is known of a write key, None when there is none. Raises KeysNotLoadedError."""
        self._known.watch()
        if not self._known.wait(self.patience_s):
            raise KeysNotLoadedError
        digest = hash_key(key)
        found = self._known.value.keys.get(digest)
        if found is None or not is_same_hash(found.key_hash, digest):
            # It may be new.
            if self._known.is_stale:
                raise KeysNotLoadedError
            self._known.want()
            return None
        return found

    def limit_of(self, key_id: str) -> int | None:
        """Give the events a minute that a key may send, None without a limit."""
        return self._known.value.limits.get(key_id)

    def stop(self) -> None:
        """Follow the table no more."""
        self._known.stop()

    def refresh(self) -> None:
        """Read the table now."""
        self._known.refresh()


def _read(session: Session, _: _Known) -> _Known:
    keys = read_write_keys(session)
    return _Known(keys, {key.key_id: key.rate_limit for key in keys.values() if key.rate_limit})


def read_write_key(request: Request) -> str | None:
    """Find the write key: the header X-Write-Key, the Basic user name, or the query."""
    header = request.headers.get("X-Write-Key")
    if header:
        return header
    found = read_authorization(request)
    if found is not None and found.type == "basic":
        return found.username
    return request.args.get("writeKey")


def read_bearer(request: Request) -> str | None:
    """Find a Bearer token, where some senders put their write key."""
    found = read_authorization(request)
    return found.token if found is not None and found.type == "bearer" else None


def check_write_key(
    request: Request, keys: WriteKeys, *, key: str | None, required: bool, now_ms: int
) -> WriteKey | None:
    """Give what is known of a request's write key, None without one. Raises Problem.

    A browser says which page a request comes from; a key may be for some pages only.
    """
    if key is None:
        if required:
            raise Problem(
                401,
                "key_required",
                "no write key came: send X-Write-Key: wk_…, or give it to your SDK",
            )
        return None
    try:
        found = keys.find(key)
    except KeysNotLoadedError:
        raise Problem(
            503,
            "keys_unknown",
            "write keys cannot be checked yet: please try again",
            headers={"Retry-After": "2"},
        ) from None
    if found is None:
        raise Problem(401, "invalid_key", "this write key is not known or was revoked")
    if found.expires_ms is not None and found.expires_ms <= now_ms:
        raise Problem(401, "key_expired", "this write key has expired")
    if found.allowed_origins:
        _check_origin(request, found.allowed_origins)
    return found


def _check_origin(request: Request, allowed: frozenset[str]) -> None:
    origin = request.headers.get("Origin")
    if origin is None or "*" in allowed:
        return
    if origin.lower() not in allowed:
        raise Problem(
            403, "origin_not_allowed", f"this write key is not for pages of {origin[:200]!r}"
        )
