"""What an event type is, and the types of a team's own, read from a TOML file.

    [job_saved]
    category = "job"
    action = "save"
    counter = "favorites"
    weight = 3
    colour = "#9467bd"
    synonyms = ["job_bookmarked"]

Every key may be left out. A type that moves a counter moves it from the next start on; events of
that name stored before are counted by `./millrace rebuild-metrics`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from settings import SettingsError

Counter = Literal[
    "impressions",
    "views",
    "clicks",
    "favorites",
    "cart_additions",
    "cart_removals",
    "sales",
    "ratings",
]

MAX_WEIGHT: Final = 100.0
MAX_SYNONYMS: Final = 100
# Names stand in SQL as they are, and so must not be able to end a text.
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
_COLOUR: Final = re.compile(r"#[0-9a-f]{6}")
_KEYS: Final = ("category", "action", "colour", "counter", "sign", "weight", "synonyms")
#: Counters that have a way down: a refund takes off what a purchase added.
_SIGNED: Final = ("sales",)


@dataclass(frozen=True, slots=True)
class EventType:
    """Describe one kind of event."""

    name: str
    category: str
    action: str
    counter: Counter | None = None
    sign: Literal[1, -1] = 1
    weight: float = 0.0
    colour: str = "#7a869a"
    synonyms: tuple[str, ...] = ()
    #: Whether a team added it in a file of its own.
    own: bool = False


def read_event_types(path: Path, *, taken: Collection[str]) -> tuple[EventType, ...]:
    """Read the types of a file; `taken` are names and synonyms that it may not use.

    Raises SettingsError with the file, the type and the fault.
    """
    used = set(taken)
    kinds = []
    for name, table in _read_tables(path).items():
        try:
            kind = _read_type(name, table)
            for word in (kind.name, *kind.synonyms):
                if word in used:
                    raise ValueError(f"the name {word!r} is taken by another type")
                used.add(word)
        except ValueError as fault:
            raise SettingsError(f"EVENT_TYPES_FILE {path}: [{name[:100]}] {fault}") from None
        kinds.append(kind)
    return tuple(kinds)


def _read_tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"EVENT_TYPES_FILE {path} cannot be read: {error.strerror or error}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"EVENT_TYPES_FILE {path} is not TOML: {error}") from None


def _read_type(name: str, table: Any) -> EventType:
    _check(NAME.fullmatch(name), f"a name is of a-z, 0-9 and _, up to 100, got {name[:100]!r}")
    _check(isinstance(table, Mapping), f"must be a table, got {table!r}")
    unknown = sorted(set(table) - set(_KEYS))
    _check(not unknown, f"unknown key {next(iter(unknown), '')!r}; known: {', '.join(_KEYS)}")
    head, _, tail = name.rpartition("_")
    weight = table.get("weight", 0.0)
    colour = table.get("colour", EventType.__dataclass_fields__["colour"].default)
    counter, sign = table.get("counter"), table.get("sign", 1)
    counters = get_args(Counter)
    _check(
        counter is None or counter in counters,
        f"counter must be one of {', '.join(counters)}, got {counter!r}",
    )
    _check(sign in (1, -1), f"sign must be 1 or -1, got {sign!r}")
    _check(sign == 1 or counter in _SIGNED, f"sign -1 needs the counter sales, got {counter!r}")
    _check(
        type(weight) in (int, float) and 0 <= weight <= MAX_WEIGHT,
        f"weight must be a number from 0 to {MAX_WEIGHT:g}, got {weight!r}",
    )
    _check(
        isinstance(colour, str) and _COLOUR.fullmatch(colour),
        f"colour must be like #4c78a8, got {colour!r}",
    )
    return EventType(
        name=name,
        category=_read_word(table, "category", head or name),
        action=_read_word(table, "action", tail or "other"),
        counter=counter,
        sign=sign,
        weight=float(weight),
        colour=colour,
        synonyms=_read_synonyms(table),
        own=True,
    )


def _read_word(table: Mapping[str, Any], key: str, default: str) -> str:
    word = table.get(key, default)
    _check(
        isinstance(word, str) and NAME.fullmatch(word),
        f"{key} is of a-z, 0-9 and _, up to 100, got {word!r}",
    )
    return str(word)


def _read_synonyms(table: Mapping[str, Any]) -> tuple[str, ...]:
    words = table.get("synonyms", [])
    _check(
        isinstance(words, list)
        and len(words) <= MAX_SYNONYMS
        and all(isinstance(word, str) and 0 < len(word) <= 100 for word in words),
        f"synonyms must be a list of up to {MAX_SYNONYMS} texts, got {words!r}",
    )
    return tuple(words)


def _check(holds: object, fault: str) -> None:
    if not holds:
        raise ValueError(fault)
