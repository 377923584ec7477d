"""The parts of a mapping that say how one thing is read; each checks itself."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from datasets.dataset import MappingError


@dataclass(frozen=True)
class TypeRule:
    """Every event has the type `constant`, or the one that `values` gives for a column."""

    constant: str | None = None
    column: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.constant is None) == (self.column is None):
            raise MappingError("needs either 'constant' or 'column'")
        if self.constant and (self.values or self.drop):
            raise MappingError("'values' and 'drop' go with 'column', not with 'constant'")


@dataclass(frozen=True)
class TimeRule:
    kind: Literal["iso", "unix", "date", "order"]
    column: str | None = None
    format: str | None = None
    unit: Literal["s", "ms"] = "s"
    order: str | None = None
    step_s: int = 30
    days: int = 90
    spread: Literal["sessions", "people"] = "sessions"

    def __post_init__(self) -> None:
        if self.kind != "order" and self.column is None:
            raise MappingError(f"kind {self.kind!r} needs the key 'column'")
        if self.kind == "order" and self.column is not None:
            raise MappingError("kind 'order' has no 'column'; name the order column in 'order'")
        if self.step_s < 1 or self.days < 1:
            raise MappingError(
                f"step_s and days must be >= 1, got step_s {self.step_s}, days {self.days}"
            )


@dataclass(frozen=True)
class RefundRule:
    """Rows that give something back: their type becomes refund, their amounts positive."""

    negative_quantity: bool = False
    negative_price: bool = False
    column: str | None = None
    prefix: str | None = None

    def __post_init__(self) -> None:
        if (self.column is None) != (self.prefix is None):
            raise MappingError("'column' and 'prefix' go together")


@dataclass(frozen=True)
class DropRule:
    """Rows to leave out: exactly one of `empty`, `below`, `matches`."""

    column: str
    empty: bool = False
    below: float | None = None
    matches: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.empty + (self.below is not None) + (self.matches is not None) != 1:
            raise MappingError("needs exactly one of 'empty = true', 'below', 'matches'")
        if self.matches is not None:
            check_pattern(self.matches)


@dataclass(frozen=True)
class CodeRule:
    """Which product codes are products; the others become `entity_id`."""

    pattern: str
    otherwise: str = "charge"

    def __post_init__(self) -> None:
        check_pattern(self.pattern)


@dataclass(frozen=True)
class SequenceRule:
    """A column with many products in order: each becomes an event."""

    column: str
    separator: str = " "


def check_names(where: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            raise MappingError(f"{where}: unknown name {name!r}; known names: {', '.join(known)}")


def check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise MappingError(f"{pattern!r} is not a regular expression: {error}") from error
