"""Make ids of recommendation lists that say by themselves what made each place of the list.

Serving a list writes nothing: the id carries the model's version and the rung of each position, and
comes back with the events of the list. It is plain text without secrets:

    r1.17.ppppttnnnn.019cf160c5807d2a41e09b3f
    |  |  |          the time in milliseconds and a random part, 12 hexadecimal digits each
    |  |  a letter for the rung of each position, the first one first
    |  the model's version, 0 for a list that no model had a part in
    the format

`models/recommendation_lines.py` reads the same in SQL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

MAX_PLACES = 100
MAX_VERSION = 999_999_999
UNKNOWN = "unknown"
#: The letter of each rung. A letter that was given away keeps its meaning: ids live in events.
LETTERS = {
    "behaviour": "b",
    "content": "c",
    "person": "p",
    "session": "s",
    "again": "a",
    "popular": "o",
    "category": "k",
    "trending": "t",
    "best_rated": "r",
    "newest": "n",
    UNKNOWN: "x",
}

_RUNGS = {letter: rung for rung, letter in LETTERS.items()}
_READ = re.compile(
    rf"r1\.(0|[1-9][0-9]{{0,8}})\.([a-z]{{0,{MAX_PLACES}}})\.([0-9a-f]{{12}})[0-9a-f]{{12}}"
).fullmatch


@dataclass(frozen=True, slots=True)
class RecommendationId:
    """What an id says: the model's version (None: no model), the rungs in order, and its time."""

    version: int | None
    rungs: tuple[str, ...]
    made_ms: int

    def rung(self, position: int) -> str:
        """Give the rung of a position, the first of which is 1; UNKNOWN outside of the list."""
        return self.rungs[position - 1] if 1 <= position <= len(self.rungs) else UNKNOWN


def make_recommendation_id(version: int | None, rungs: Sequence[str], *, at: datetime) -> str:
    """Make the id of a list: its model's version and the rung of each of its places.

    A rung without a letter becomes UNKNOWN. Raises ValueError for more than MAX_PLACES places and
    for a version that is no positive number up to MAX_VERSION.
    """
    if len(rungs) > MAX_PLACES:
        raise ValueError(f"a list may have {MAX_PLACES} places, got {len(rungs)}")
    if version is not None and not 1 <= version <= MAX_VERSION:
        raise ValueError(f"a version must be 1 to {MAX_VERSION}, got {version}")
    letters = "".join(LETTERS.get(rung, LETTERS[UNKNOWN]) for rung in rungs)
    made_ms = max(0, int(at.timestamp() * 1000))
    return f"r1.{version or 0}.{letters}.{made_ms:012x}{os.urandom(6).hex()}"


def read_recommendation_id(text: str) -> RecommendationId | None:
    """Read an id of ours; None when the text is anything else."""
    found = _READ(text)
    if found is None:
        return None
    version, letters, made = found.groups()
    return RecommendationId(
        version=int(version) or None,
        rungs=tuple(_RUNGS.get(letter, UNKNOWN) for letter in letters),
        made_ms=int(made, 16),
    )
