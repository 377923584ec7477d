"""Which door answers which path: a table of paths, and patterns for those with a name in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from werkzeug.wrappers import Request, Response

from app.state import State

#: Answers one request. Raises Problem, unless its dialect has errors of its own.
Door = Callable[[Request, State], Response]
#: The doors of one path, by method.
Doors = Mapping[str, Door]


@dataclass(frozen=True, slots=True)
class Routes:
    """Doors by path. A path in braces, such as /array/{token}/config, stands for many.

    Such patterns are looked through by the path's first word.
    """

    exact: dict[str, Doors] = field(default_factory=dict)
    patterns: dict[str, list[tuple[re.Pattern[str], Doors]]] = field(default_factory=dict)

    @classmethod
    def of(cls, *tables: Mapping[str, Doors]) -> Routes:
        """Gather tables; each path answers with and without its last slash."""
        exact: dict[str, Doors] = {}
        patterns: dict[str, list[tuple[re.Pattern[str], Doors]]] = {}
        for path, doors in (item for table in tables for item in table.items()):
            bare = path.rstrip("/")
            if "{" in path:
                pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(bare)) + "/?"
                patterns.setdefault(_first_word(bare), []).append((re.compile(pattern), doors))
                continue
            if bare in exact:
                raise ValueError(f"two doors answer {bare}")
            exact[bare] = exact[f"{bare}/"] = doors
        return cls(exact, patterns)

    def find(self, path: str) -> Doors | None:
        """Give the doors of a path, None when it is no door's."""
        found = self.exact.get(path)
        if found is not None:
            return found
        patterns = self.patterns.get(_first_word(path), ())
        return next((doors for pattern, doors in patterns if pattern.fullmatch(path)), None)


def _first_word(path: str) -> str:
    return path[1:].partition("/")[0]
