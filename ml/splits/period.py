"""Splits by a period: what came before it is learned from, what lies in it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ml.dataset import Interactions


@dataclass(frozen=True)
class Period:
    """What splits by a period have in common.

    Parameters
    ----------
    cut, end : float
        Unix seconds. Everything before the cut is learned from; interactions
        at or after `end` are in neither part.
    window_s : float, optional
        Length of the window before the cut that tunes; that of [cut, end) by default.
    """

    cut: float
    end: float = np.inf
    window_s: float | None = None

    def __post_init__(self) -> None:
        if not self.cut < self.end:
            raise ValueError(f"cut must be < end, got {self.cut} and {self.end}")

    def validation(self) -> Self:
        """Return the same for the window that ends where this one begins."""
        length = self.window_s if self.window_s is not None else self.end - self.cut
        if not 0 < length < np.inf:
            raise ValueError(f"the window that tunes must have a length, got {length}")
        return replace(self, cut=self.cut - length, end=self.cut)

    def _asked_of(self, known: Interactions, goal: str) -> Interactions:
        """Return what was met in the period with a weight above 0, or bought."""
        within = known.between(self.cut, self.end)
        wanted = within.weight > 0
        return within.take(wanted & within.bought if goal == "bought" else wanted)
