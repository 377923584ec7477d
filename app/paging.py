"""Keyset cursors: a page ends with a text from which the next one goes on."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import orjson

from app.errors import Problem

#: The longest cursor that is looked at.
MAX_CURSOR = 2000

Row = TypeVar("Row")


def cut_page(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], Row | None]:
    """Give the first `limit` rows, and the last of them where more follow.

    Whoever reads a page reads one row more than it shows: so it is known whether there is another.
    """
    page = rows[:limit]
    return page, page[-1] if len(rows) > limit else None


def write_cursor(*keys: Any) -> str:
    """Write the sort keys of a page's last row as an opaque text."""
    return base64.urlsafe_b64encode(orjson.dumps(keys)).decode().rstrip("=")


def read_cursor(cursor: str, kinds: Sequence[type]) -> tuple[Any, ...]:
    """Read the sort keys back; `kinds` are their types in order. Raises Problem 400.

    A cursor comes from outside: whoever reads more than its type from a key checks that too, with
    `bad_cursor`.
    """
    if len(cursor) > MAX_CURSOR:
        raise bad_cursor()
    try:
        keys = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise bad_cursor() from None
    if not isinstance(keys, list) or len(keys) != len(kinds):
        raise bad_cursor()
    return tuple(_read_key(key, kind) for key, kind in zip(keys, kinds, strict=True))


def read_moment(text: str) -> datetime:
    """Read a time of a cursor. Raises Problem 400, also for one that no zone places."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_cursor() from None
    if moment.tzinfo is None:
        raise bad_cursor()
    return moment


def bad_cursor() -> Problem:
    """Say that a text is no cursor of this list."""
    return Problem(
        400, "bad_cursor", "cursor must be the next_cursor of the page before, for the same list"
    )


def _read_key(key: Any, kind: Any) -> Any:
    written = str if kind in (UUID, datetime) else kind
    if type(key) is not written or (written is str and "\0" in key):
        raise bad_cursor()
    try:
        if kind is UUID:
            return UUID(key)
    except ValueError:
        raise bad_cursor() from None
    return read_moment(key) if kind is datetime else key
