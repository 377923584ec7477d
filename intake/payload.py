"""Bounds of free JSON: what PostgreSQL cannot hold and what nobody sends in good faith."""

from __future__ import annotations

from typing import Any

import orjson
from marshmallow import ValidationError

MAX_DEPTH = 32
MAX_KEYS = 500


def is_within_bounds(raw: bytes | memoryview) -> bool:
    """Tell whether raw JSON without NUL keeps the bounds, as `check_payload` would find.

    Most payloads have fewer brackets than levels are allowed: reading them,
    which refuses numbers that are not finite, is then all.
    """
    text = bytes(raw)
    try:
        value = orjson.loads(text)
        if text.count(b"{") + text.count(b"[") > MAX_DEPTH or text.count(b":") > MAX_KEYS:
            check_payload(value)
    except (orjson.JSONDecodeError, ValidationError):
        return False
    return True


def check_payload(value: Any) -> None:
    """Check a decoded JSON value against the bounds. Raises ValidationError."""
    keys = _check(value, 1)
    if keys > MAX_KEYS:
        raise ValidationError(f"Must have at most {MAX_KEYS} keys in all, got {keys}.")


def _check(value: Any, depth: int) -> int:
    if isinstance(value, str):
        if "\0" in value:
            raise ValidationError("Must not contain the character NUL (\\u0000).")
        return 0
    if isinstance(value, float) and not -1e308 <= value <= 1e308:
        raise ValidationError("Numbers must be finite.")
    if not isinstance(value, dict | list):
        return 0
    if depth > MAX_DEPTH:
        raise ValidationError(f"Must be nested at most {MAX_DEPTH} levels deep.")
    if isinstance(value, list):
        return sum(_check(item, depth + 1) for item in value)
    keys = len(value)
    for key, item in value.items():
        if "\0" in key:
            raise ValidationError("Keys must not contain the character NUL (\\u0000).")
        keys += _check(item, depth + 1)
    return keys
