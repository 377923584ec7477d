"""Bounds of free JSON: what PostgreSQL cannot hold and what nobody sends in good faith."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
import orjson
from marshmallow import ValidationError
from msgspec import Meta, Raw

MAX_DEPTH = 32
MAX_KEYS = 500
#: PostgreSQL's numbers have up to 16,383 digits behind the point; JSON's may have more.
MAX_RAW_BYTES = 16_000

# A number such as 1e-99999 or 0e99999 reads as zero, but PostgreSQL would make it digit by digit.
_FAR_EXPONENT = re.compile(rb"[\s:,\[]-?[0-9.]+[eE][-+]?[0-9]{4}")


# Floats near zero are left to the closer look, for the same reason.
_Plain = str | int | bool | None | Annotated[float, Meta(ge=1e-9)]
_read_plain = msgspec.json.Decoder(dict[str, _Plain]).decode


def is_plain(raw: bytes | Raw) -> bool:
    """Tell at a glance that raw JSON of up to MAX_RAW_BYTES is a flat object of usual values.

    Most payloads are. They keep every bound but that of NUL.
    """
    try:
        return len(_read_plain(raw)) <= MAX_KEYS
    except msgspec.MsgspecError:
        return False


def is_within_bounds(raw: bytes | memoryview) -> bool:
    """Tell whether raw JSON without NUL can be stored as it is; if not, it must be written anew.

    Reading it refuses numbers that are not finite.
    """
    text = bytes(raw)
    if len(text) > MAX_RAW_BYTES or _FAR_EXPONENT.search(text):
        return False
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
        _check_text(value)
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
        _check_text(key)
        keys += _check(item, depth + 1)
    return keys


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValidationError("Must not contain the character NUL (\\u0000).")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError("Must not contain half of a surrogate pair.") from None
