"""Who may learn what a person did: who has a `read` token, and the person."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request

from app.admin_tokens import find_caller
from app.authorization import read_authorization
from app.clock import now
from app.database import db
from app.errors import Problem
from app.host_tokens import read_jwt_user
from app.state import state
from models.api_keys import AdminToken

#: The value of RECOMMENDATIONS_ACCESS that asks for a token.
TOKEN = "token"
_ADMIN_TOKEN = "at_"


@dataclass(frozen=True, slots=True)
class Rights:
    """Whose doings the caller may learn of: everybody's, one user's, or nobody's."""

    everybody: bool = False
    user_id: str | None = None

    def cover(self, user_id: str | None) -> bool:
        """Tell whether they cover a user; None stands for somebody who is not known."""
        return self.everybody or (user_id is not None and user_id == self.user_id)


def read_rights() -> Rights:
    """Find out who calls. Where lists are public, a token that is not valid gives no rights.

    Raises Problem 401 or 403 where RECOMMENDATIONS_ACCESS asks for a token.
    """
    try:
        return _read_rights()
    except Problem:
        if needs_token():
            raise
        return Rights()


def require_rights(rights: Rights, user_id: str) -> None:
    """Refuse a caller who may not have a user's list. Raises Problem 403."""
    if needs_token() and not rights.cover(user_id):
        raise Problem(403, "another_user", "this token is not of the user whose list is asked for")


def needs_token() -> bool:
    """Tell whether people's lists are for callers with a token only."""
    return state().settings.recommendations_access == TOKEN


def _read_rights() -> Rights:
    header = read_authorization(request)
    text = header.token if header is not None and header.type == "bearer" else None
    settings = state().settings
    if text and not text.startswith(_ADMIN_TOKEN) and settings.jwt_secret:
        algorithms = settings.jwt_algorithms.split(",")
        user_id = read_jwt_user(request, secret=settings.jwt_secret, algorithms=algorithms)
        return Rights(user_id=user_id)
    if not text and not needs_token():
        return Rights()
    caller = find_caller(request, db.engine, state().last_uses, now=now())
    if not isinstance(caller, AdminToken):
        raise caller
    if "read" not in caller.scopes:
        raise Problem(403, "scope_missing", "this admin token lacks the scope 'read'")
    return Rights(everybody=True)
