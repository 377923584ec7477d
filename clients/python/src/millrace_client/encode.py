"""Write events as JSON, with the values that Python applications really have."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Set
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID


def encode(value: Any) -> bytes:
    """Write a value as JSON in UTF-8.

    Raises TypeError, ValueError (NaN, half of a surrogate pair, a circle) or RecursionError.
    """
    return _ENCODER.encode(value).encode()


def format_moment(value: datetime | str | float) -> str | float:
    """Write a moment as the server reads it; a datetime without a zone is in the system's."""
    if not isinstance(value, datetime):
        return value
    moment = value.astimezone(timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    """Give what JSON can hold for a value that it cannot. Raises TypeError."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (UUID, os.PathLike)):
        return str(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return _sorted(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return _plain_by_shape(value)


def _plain_by_shape(value: Any) -> Any:
    # NumPy's numbers and arrays, and pandas' series, are known by this method.
    if hasattr(value, "tolist"):
        return value.tolist()
    # Django's lazy translations are texts that are not made yet.
    if hasattr(value, "_proxy____cast"):
        return str(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _sorted(values: Iterable[Any]) -> list[Any]:
    """Give a set's members in an order that is the same each time, where they have one."""
    try:
        return sorted(values)
    except TypeError:
        return list(values)


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
)
