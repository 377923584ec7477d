"""What recommendations are judged by on a data set: the tables `[[recommend]]` of a mapping."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from datasets.dataset import MappingError
from datasets.rules import DropRule

ProtocolName = Literal["window", "last_out", "random", "visits", "given", "similar", "cold"]
TIMED: tuple[ProtocolName, ...] = ("window", "visits", "given", "similar", "cold")

#: Which protocols a key goes with; a key that is not here goes with all.
_PROTOCOLS_OF: dict[str, tuple[ProtocolName, ...]] = {
    "cut": TIMED,
    "end": ("window", "visits", "similar", "cold"),
    "validation": TIMED,
    "days": TIMED,
    "repeats": ("window", "visits"),
    "goal": ("window", "similar", "cold"),
    "share": ("random", "cold"),
    "seed": ("random", "cold", "similar", "visits"),
    "gap_s": ("visits",),
    "files": ("given",),
    "prefix": ("given",),
    "target": ("given",),
    "separator": ("given",),
}


@dataclass(frozen=True)
class RecommendRule:
    """One task: how the data is split, and which rows are looked at.

    Without a protocol the data choose, as a training does. `cut`, `end` and
    `validation` (where the window that tunes begins) are dates or times;
    `days` is the length of the test window where there is no cut.
    """

    task: str
    protocol: ProtocolName | None = None
    cut: Any = None
    end: Any = None
    validation: Any = None
    days: float | None = None
    repeats: bool | None = None
    goal: Literal["met", "bought"] | None = None
    share: float | None = None
    seed: int | None = None
    questions: int | None = None
    gap_s: float | None = None
    files: tuple[str, ...] = ()
    prefix: str | None = None
    target: str | None = None
    separator: str = " "
    min_rating: float | None = None
    weights: dict[str, float] = field(default_factory=dict)
    drop: tuple[DropRule, ...] = ()

    def __post_init__(self) -> None:
        if not self.task.strip():
            raise MappingError("task must be a name")
        self._check_keys()
        self._check_times()
        for name in ("days", "questions", "gap_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise MappingError(f"{name} must be > 0, got {value}")
        if self.share is not None and not 0 < self.share < 1:
            raise MappingError(f"share must be > 0 and < 1, got {self.share}")
        if self.seed is not None and self.seed < 0:
            raise MappingError(f"seed must be >= 0, got {self.seed}")
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):
                raise MappingError(f"weights.{name} must be a number >= 0, got {weight}")
        if self.protocol == "given" and not (self.files and self.target and self.prefix):
            raise MappingError("protocol 'given' needs 'files', 'prefix' and 'target'")

    def _check_keys(self) -> None:
        for spec in fields(self):
            allowed = _PROTOCOLS_OF.get(spec.name)
            if (
                allowed
                and self.protocol not in allowed
                and getattr(self, spec.name) != spec.default
            ):
                raise MappingError(
                    f"{spec.name!r} goes with protocol {' or '.join(map(repr, allowed))}, "
                    f"got protocol {self.protocol!r}"
                )

    def _check_times(self) -> None:
        cut, end, validation = self.unix("cut"), self.unix("end"), self.unix("validation")
        if cut is None and (end is not None or validation is not None):
            raise MappingError("'end' and 'validation' need a 'cut'")
        if cut is not None and self.days is not None:
            raise MappingError("takes 'cut' or 'days', not both")
        if cut is not None and end is not None and not cut < end:
            raise MappingError(f"cut must lie before end, got {self.cut} and {self.end}")
        if cut is not None and validation is not None and not validation < cut:
            raise MappingError(
                f"validation must lie before cut, got {self.validation} and {self.cut}"
            )

    def unix(self, key: Literal["cut", "end", "validation"]) -> float | None:
        """Give one of the times in unix seconds; without a zone it is taken as UTC."""
        value = getattr(self, key)
        if isinstance(value, str):
            with suppress(ValueError):
                value = datetime.fromisoformat(value)
        if value is None:
            return None
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time(), UTC)
        if not isinstance(value, datetime):
            raise MappingError(f'{key} must be a date or time such as "2011-11-09", got {value!r}')
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
