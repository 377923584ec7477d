"""What the events of a web request, or of a task, have in common: `with scope(user_id=…):`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, Union

#: Fields, or a function that gives them when an event is tracked: a user may log in on the way.
#: Fields that are None are no consent: nothing is tracked.
ScopeFields = Union[Mapping[str, Any], Callable[[], "Mapping[str, Any] | None"]]

_current: ContextVar[tuple[ScopeFields, ...]] = ContextVar("millrace_scope", default=())


@contextmanager
def scope(_fields: ScopeFields | None = None, **fields: Any) -> Iterator[None]:
    """Give the events tracked inside these fields, unless they have their own.

    Scopes may lie in one another; the inner one wins. Threads that are started inside do not
    inherit them; asyncio tasks do.
    """
    token = _current.set((*_current.get(), fields if _fields is None else _fields))
    try:
        yield
    finally:
        _current.reset(token)


def read_scope() -> dict[str, Any] | None:
    """Merge the fields of all scopes; None when one of them declines."""
    merged: dict[str, Any] = {}
    for each in _current.get():
        fields = each() if callable(each) else each
        if fields is None:
            return None
        merged = merge_fields(merged, fields)
    return merged


def merge_fields(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Put fields over others; those that are None do not count, and contexts are merged."""
    merged = {**under, **{name: value for name, value in over.items() if value is not None}}
    if under.get("context") and over.get("context"):
        merged["context"] = {**under["context"], **over["context"]}
    return merged
