"""Write keys at the door: who sends, from which pages, with which source."""

from __future__ import annotations

import os
import threading

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Request

from app.cors import allow_origin, deny_origin
from app.errors import Problem
from models.api_keys import WriteKey, hash_key, is_same_hash, read_write_keys
from models.database import transaction

log = structlog.get_logger()


class KeysNotLoadedError(Exception):
    """The write keys could not be read yet: the database has been away since the start."""


class WriteKeys:
    """The write keys that are not revoked, known without asking the database.

    A thread reads and refreshes them, so a new or revoked key is known within `refresh_s`; while
    the database is away the last ones known stay valid.
    """

    def __init__(self, engine: Engine, *, refresh_s: float = 5.0, patience_s: float = 1.0) -> None:
        self._engine = engine
        self._refresh_s = refresh_s
        self._patience_s = patience_s
        self._keys: dict[str, WriteKey] = {}
        self._limits: dict[str, int] = {}
        self._wanted = threading.Event()
        self._loaded = threading.Event()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None

    def find(self, key: str) -> WriteKey | None:
        """Give what is known of a write key, None when there is none. Raises KeysNotLoadedError."""
        if self._pid != os.getpid():
            self._start()
        if not self._loaded.wait(self._patience_s):
            raise KeysNotLoadedError
        digest = hash_key(key)
        found = self._keys.get(digest)
        if found is None or not is_same_hash(found.key_hash, digest):
            self._wanted.set()
            return None
        return found

    def limit_of(self, key_id: str) -> int | None:
        """Give the events a minute that a key may send, None without a limit."""
        return self._limits.get(key_id)

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()
        self._wanted.set()

    def refresh(self) -> None:
        """Read the keys again; without the database those known stay."""
        try:
            with transaction(self._engine) as session:
                keys = read_write_keys(session)
        except SQLAlchemyError as error:
            log.warning("write_keys_not_refreshed", error=type(error).__name__)
            return
        self._keys = keys
        self._limits = {key.key_id: key.rate_limit for key in keys.values() if key.rate_limit}
        self._loaded.set()

    def _start(self) -> None:
        # Threads do not survive a fork, and servers fork after loading the app.
        with self._lock:
            if self._pid != os.getpid():
                threading.Thread(target=self._work, name="write-keys", daemon=True).start()
                self._pid = os.getpid()

    def _work(self) -> None:
        while not self._stopped.is_set():
            self.refresh()
            # A flood of unknown keys asks for one refresh a second, not for more.
            self._stopped.wait(1)
            self._wanted.wait(self._refresh_s - 1 if self._loaded.is_set() else 0)
            self._wanted.clear()


def read_write_key(request: Request) -> str | None:
    """Find the write key: the header X-Write-Key, the Basic user name, or the query."""
    header = request.headers.get("X-Write-Key")
    if header:
        return header
    if request.authorization is not None and request.authorization.type == "basic":
        return request.authorization.username
    return request.args.get("writeKey")


def check_write_key(
    request: Request, keys: WriteKeys, *, required: bool, now_ms: int
) -> WriteKey | None:
    """Give the request's write key, None without one. Raises Problem.

    A browser says which page a request comes from; a key may be for some pages only.
    """
    text = read_write_key(request)
    if text is None:
        if required:
            raise Problem(401, "key_required", "send a write key: X-Write-Key: wk_…")
        return None
    try:
        key = keys.find(text)
    except KeysNotLoadedError:
        raise Problem(
            503,
            "keys_unknown",
            "write keys cannot be checked yet: please try again",
            headers={"Retry-After": "2"},
        ) from None
    if key is None:
        raise Problem(401, "invalid_key", "this write key is not known or was revoked")
    if key.expires_ms is not None and key.expires_ms <= now_ms:
        raise Problem(401, "key_expired", "this write key has expired")
    if key.allowed_origins:
        _check_origin(request, key.allowed_origins)
    return key


def _check_origin(request: Request, allowed: frozenset[str]) -> None:
    origin = request.headers.get("Origin")
    if origin is None or "*" in allowed:
        return
    if origin.lower() not in allowed:
        deny_origin(request.environ)
        raise Problem(
            403, "origin_not_allowed", f"this write key is not for pages of {origin[:200]!r}"
        )
    allow_origin(request.environ, origin)
