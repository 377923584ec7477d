"""Write keys and admin tokens: list, make, rotate, revoke."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.auth import current_caller, require_scope
from app.blueprint import ApiBlueprint
from app.clock import now
from app.database import current_session
from app.errors import Problem
from app.paging import cut_page, read_cursor, write_cursor
from app.schemas import examples
from app.schemas.keys import (
    KeyAnswer,
    KeyList,
    KeyRequest,
    NewKeyAnswer,
    RotateQuery,
)
from app.schemas.lists import PageQuery
from models.api_keys import ApiKey, read_keys
from models.key_changes import KeyRefused, issue_key, revoke_key, rotate_token

blueprint = ApiBlueprint("keys", __name__, url_prefix="/api/keys", description="Keys and tokens")

_REFUSED = {"409": {"description": "The rules for keys do not allow it: see detail"}}
_MAX_LIFE = timedelta(days=3650)


@blueprint.route("")
@blueprint.doc(summary="List keys and tokens")
@require_scope("admin")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, KeyList)
def list_keys(query: dict[str, Any]) -> dict[str, Any]:
    """List all keys, revoked ones too, the oldest first. The keys themselves are not kept."""
    cursor, limit = query["cursor"], query["limit"]
    after = read_cursor(cursor, (datetime, str)) if cursor else None
    found = read_keys(current_session(), limit=limit + 1, after=after)
    page, last = cut_page(found, limit)
    return {
        "keys": [_describe(key) for key in page],
        "next_cursor": last and write_cursor(last.created_at, last.key_id),
    }


@blueprint.route("", methods=["POST"])
@blueprint.doc(summary="Make a key", responses=_REFUSED)
@require_scope("admin")
@blueprint.arguments(KeyRequest, examples=examples.KEYS)
@blueprint.response(201, NewKeyAnswer)
def create_key(fields: dict[str, Any]) -> dict[str, Any]:
    """Make a write key or an admin token, and show it: only now.

    A token can make tokens with scopes that it has itself.
    """
    moment = now()
    _check_scopes(fields["scopes"])
    expires_at = fields["expires_at"]
    if expires_at is not None and not moment < expires_at <= moment + _MAX_LIFE:
        raise _invalid("expires_at", "Must lie ahead, by ten years at most.")
    try:
        row, key = issue_key(current_session(), **fields, now=moment)
    except KeyRefused as error:
        raise _conflict(error) from None
    current_session().commit()
    return {**_describe(row), "key": key}


@blueprint.route("/<key_id>")
@blueprint.doc(summary="One key")
@require_scope("admin")
@blueprint.response(200, KeyAnswer)
def get_key(key_id: str) -> dict[str, Any]:
    """Give one key, without the key itself."""
    return _describe(_find(key_id))


@blueprint.route("/<key_id>", methods=["DELETE"])
@blueprint.doc(summary="Revoke a key", responses=_REFUSED)
@require_scope("admin")
@blueprint.response(200, KeyAnswer)
def delete_key(key_id: str) -> dict[str, Any]:
    """Revoke a key: tokens stop at once, write keys within seconds.

    The last valid token with the scope admin stays.
    """
    row = _find(key_id)
    try:
        revoke_key(current_session(), row, now=now())
    except KeyRefused as error:
        raise _conflict(error) from None
    current_session().commit()
    return _describe(row)


@blueprint.route("/<key_id>/rotate", methods=["POST"])
@blueprint.doc(summary="Replace an admin token", responses=_REFUSED)
@require_scope("admin")
@blueprint.arguments(RotateQuery, location="query")
@blueprint.response(201, NewKeyAnswer)
def rotate_key(query: dict[str, Any], key_id: str) -> dict[str, Any]:
    """Make a second token of the same name and scopes; the old one stays valid for a while.

    Two tokens of a name can be valid at a time.
    """
    old = _find(key_id)
    _check_scopes(old.scopes)
    grace = timedelta(seconds=query["grace_s"])
    try:
        row, key = rotate_token(current_session(), old, now=now(), grace=grace)
    except KeyRefused as error:
        raise _conflict(error) from None
    current_session().commit()
    return {**_describe(row), "key": key}


def _find(key_id: str) -> ApiKey:
    row = current_session().get(ApiKey, key_id)
    if row is None:
        raise Problem(404, "unknown_key", f"there is no key {key_id!r}")
    return row


def _check_scopes(scopes: list[str]) -> None:
    """Refuse to hand out more than the caller holds."""
    caller = current_caller()
    missing = [scope for scope in scopes if caller is None or scope not in caller.scopes]
    if missing:
        raise Problem(
            403,
            "scope_missing",
            f"this admin token lacks {', '.join(missing)}, and cannot give what it does not have",
        )


def _describe(row: ApiKey) -> dict[str, Any]:
    columns = {column.key: getattr(row, column.key) for column in ApiKey.__mapper__.column_attrs}
    return {**columns, "status": row.status_at(now())}


def _invalid(field: str, text: str) -> Problem:
    return Problem(
        422,
        "invalid",
        "the request has fields that cannot be used: see errors",
        errors={"json": {field: [text]}},
    )


def _conflict(error: KeyRefused) -> Problem:
    return Problem(409, error.code, error.detail)
