"""Queries of lists: nearly all that a shop sends are the same few, so each is checked once."""

from __future__ import annotations

from typing import Any

from flask import request

from app.blueprint import ArgumentsParser

#: So many queries are remembered, none of them longer.
_MOST, _MOST_BYTES = 256, 256
_PERSON = b"anonymous_id"


class RememberingParser(ArgumentsParser):
    """webargs' parser; what a schema made of a short query is remembered.

    Only for schemas that make the same of the same query at any time. A query that names somebody
    is not remembered: it hardly comes again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._made: dict[tuple[Any, bytes], dict[str, Any]] = {}

    def parse(
        self, argmap: Any, req: Any = None, *, location: str | None = None, **options: Any
    ) -> Any:
        """Check what a view is asked with; the dictionary is the view's own. Aborts as webargs."""
        query = request.query_string
        if location != "query" or len(query) > _MOST_BYTES or _PERSON in query:
            return super().parse(argmap, req, location=location, **options)
        made = self._made.get((argmap, query))
        if made is None:
            made = super().parse(argmap, req, location=location, **options)
            if len(self._made) >= _MOST:
                self._made.clear()
            self._made[argmap, query] = made
        return dict(made)
