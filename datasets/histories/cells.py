"""Read the cells of exports: JSON and lists that stand as text, and what says nothing."""

from __future__ import annotations

import ast
from typing import Any

import orjson


def without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing: None, empty texts, lists and objects."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def read_text(value: Any) -> str | None:
    """Give a text or number as text, without the NULs that pad ClickHouse's fixed strings."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip("\0") or None


def read_moment(value: Any) -> Any:
    """Give a time without the zone's name that BigQuery and ClickHouse write behind it."""
    return value.removesuffix(" UTC") if isinstance(value, str) else value


def read_json(value: Any) -> Any:
    """Give what a text of JSON holds; a text that holds none stays as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def read_object(value: Any) -> dict[str, Any]:
    """Give an object that stands as it is or as JSON; an empty one for all else."""
    found = read_json(value)
    return found if isinstance(found, dict) else {}


def read_array(value: Any) -> list[Any]:
    """Give a list, which ClickHouse writes into CSV as ['a','b']; an empty one for all else."""
    found = read_json(value)
    if isinstance(found, str) and found[:1] == "[":
        try:
            found = ast.literal_eval(found)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return []
    return found if isinstance(found, list) else []
