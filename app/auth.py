"""Who may do what: write keys at the door, JWTs of the host application, admin tokens."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import jwt
import structlog
from flask import current_app, request
from marshmallow import ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Request

from app.database import current_session
from app.errors import Problem
from intake.payload import check_payload
from models.api_keys import ADMIN, hash_key, read_key, read_write_keys
from models.database import transaction

log = structlog.get_logger()


class KeysNotLoadedError(Exception):
    """The write keys could not be read yet: the database has been away since the start."""


class WriteKeys:
    """The valid write keys, known without asking the database.

    A thread reads and refreshes them; while the database is away the last ones known stay valid.
    """

    def __init__(self, engine: Engine, *, refresh_s: float = 15.0, patience_s: float = 0.3) -> None:
        self._engine = engine
        self._refresh_s = refresh_s
        self._patience_s = patience_s
        self._keys: dict[str, str] = {}
        self._wanted = threading.Event()
        self._loaded = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None

    def id_of(self, key: str) -> str | None:
        """Give the id of a write key, None when it is not valid. Raises KeysNotLoadedError."""
        if self._pid != os.getpid():
            self._start()
        if not self._loaded.wait(self._patience_s):
            raise KeysNotLoadedError
        key_id = self._keys.get(hash_key(key))
        if key_id is None:
            self._wanted.set()
        return key_id

    def _start(self) -> None:
        # Threads do not survive a fork, and servers fork after loading the app.
        with self._lock:
            if self._pid != os.getpid():
                threading.Thread(target=self._work, name="write-keys", daemon=True).start()
                self._pid = os.getpid()

    def _work(self) -> None:
        while True:
            self._refresh()
            # A flood of unknown keys asks for one refresh a second, not for more.
            time.sleep(1)
            self._wanted.wait(self._refresh_s if self._loaded.is_set() else 0)
            self._wanted.clear()

    def _refresh(self) -> None:
        try:
            with transaction(self._engine) as session:
                self._keys = read_write_keys(session)
            self._loaded.set()
        except SQLAlchemyError as error:
            log.warning("write_keys_not_refreshed", error=type(error).__name__)


def read_write_key(request: Request) -> str | None:
    """Find the write key: the header X-Write-Key, the Basic user name, or the query."""
    header = request.headers.get("X-Write-Key")
    if header:
        return header
    if request.authorization is not None and request.authorization.type == "basic":
        return request.authorization.username
    return request.args.get("writeKey")


def read_jwt_user(request: Request, *, secret: str, algorithms: list[str]) -> str | None:
    """Give the user that a Bearer token of the host application names, None without one.

    Raises Problem 401 for a token that is not valid. Without a secret set, tokens are ignored.
    """
    header = request.authorization
    if not secret or header is None or header.type != "bearer" or not header.token:
        return None
    try:
        claims = jwt.decode(
            header.token, secret, algorithms=algorithms, options={"verify_aud": False}
        )
        # The user goes past the checks of the event's own fields.
        check_payload(claims.get("sub"))
    except (jwt.PyJWTError, ValidationError) as error:
        raise Problem(
            401,
            "invalid_token",
            f"the Bearer token is not valid: {error}",
            headers={"WWW-Authenticate": "Bearer"},
        ) from None
    subject = claims.get("sub")
    return str(subject)[:200] if subject else None


def require_scope(scope: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a view run only with an admin token that has the scope."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def checked(*args: Any, **kwargs: Any) -> Any:
            _check_admin(scope)
            return current_app.ensure_sync(view)(*args, **kwargs)

        checked.required_scope = scope  # type: ignore[attr-defined]
        return checked

    return decorate


def _check_admin(scope: str) -> None:
    header = request.authorization
    token = header.token if header is not None and header.type == "bearer" else None
    if not token:
        raise Problem(
            401,
            "token_required",
            "send an admin token: Authorization: Bearer at_…",
            headers={"WWW-Authenticate": "Bearer"},
        )
    key = read_key(current_session(), token, kind=ADMIN)
    if key is None:
        raise Problem(
            401,
            "invalid_token",
            "this admin token is not known or was revoked",
            headers={"WWW-Authenticate": "Bearer"},
        )
    if scope not in key.scopes:
        raise Problem(403, "scope_missing", f"this admin token lacks the scope {scope!r}")
