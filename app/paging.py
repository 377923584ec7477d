"""Keyset cursors: a page ends with a text from which the next one goes on."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson

from app.errors import Problem

#: The longest cursor that is looked at.
MAX_CURSOR = 2000


def write_cursor(*keys: Any) -> str:
    """Write the sort keys of a page's last row as an opaque text."""
    return base64.urlsafe_b64encode(orjson.dumps(keys)).decode().rstrip("=")


def read_cursor(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """Read the sort keys back; `kinds` are their types in order. Raises Problem 400.

    A cursor comes from outside: whoever reads an id or a date from it checks that too, with
    `bad_cursor`.
    """
    if len(cursor) > MAX_CURSOR:
        raise bad_cursor()
    try:
        keys = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise bad_cursor() from None
    if not isinstance(keys, list) or [type(key) for key in keys] != list(kinds):
        raise bad_cursor()
    if any(isinstance(key, str) and "\0" in key for key in keys):
        raise bad_cursor()
    return keys


def bad_cursor() -> Problem:
    """Say that a text is no cursor of this list."""
    return Problem(
        400, "bad_cursor", "cursor must be the next_cursor of the page before, for the same list"
    )
