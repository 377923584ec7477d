"""Admin tokens: find the one of a request, and note that it was used."""

from __future__ import annotations

from datetime import datetime

import structlog
from flask import Request
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from app.authorization import read_authorization
from app.errors import Problem
from models.api_keys import AdminToken, hash_key, note_use, read_admin_token

log = structlog.get_logger()

#: A use is written at most this often for a token, by each process.
NOTE_EVERY_S = 60.0
_BEARER = {"WWW-Authenticate": "Bearer"}


class LastUses:
    """When this process last wrote that a token was used, by its id."""

    def __init__(self) -> None:
        self._noted: dict[str, datetime] = {}

    def note(self, connection: Connection, key_id: str, now: datetime) -> None:
        """Write the use unless that was done within the minute.

        A server that only reads, or is about to go, costs one warning a minute and no answer.
        """
        noted = self._noted.get(key_id)
        if noted is not None and abs((now - noted).total_seconds()) < NOTE_EVERY_S:
            return
        self._noted[key_id] = now
        try:
            note_use(connection, key_id, now=now, every_s=NOTE_EVERY_S)
        except SQLAlchemyError as error:
            log.warning("use_not_noted", key_id=key_id, error=type(error).__name__)


def find_caller(
    request: Request, engine: Engine, uses: LastUses, *, now: datetime
) -> AdminToken | Problem:
    """Give the valid admin token of a request, or the problem to answer with.

    The look-up has a connection of its own, given back before the view takes one: a view's
    transaction shall not hold what is written here.
    """
    header = read_authorization(request)
    text = header.token if header is not None and header.type == "bearer" else None
    if not text:
        return Problem(
            401,
            "token_required",
            "send an admin token: Authorization: Bearer at_…",
            headers=_BEARER,
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        token = read_admin_token(connection, hash_key(text))
        if token is None:
            return Problem(401, "invalid_token", "this admin token is not known", headers=_BEARER)
        if token.revoked_at is not None:
            return Problem(401, "token_revoked", "this admin token was revoked", headers=_BEARER)
        if token.expires_at is not None and token.expires_at <= now:
            return Problem(401, "token_expired", "this admin token has expired", headers=_BEARER)
        uses.note(connection, token.key_id, now)
    return token
