"""A measured figure beside what it should keep to. A missed limit is told, it is no error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure and what it may be at most, or must be at least."""

    name: str
    value: float
    limit: float
    is_most: bool = True

    @property
    def is_kept(self) -> bool:
        """Tell whether the figure keeps to its limit."""
        return self.value <= self.limit if self.is_most else self.value >= self.limit

    def as_answer(self) -> dict[str, Any]:
        """Give the figure beside its limit."""
        bound = "at_most" if self.is_most else "at_least"
        return {"name": self.name, "value": self.value, bound: self.limit, "ok": self.is_kept}
