"""How much of the matrix a run does, and the seed that makes it repeatable."""

from __future__ import annotations

import random
from dataclasses import dataclass

SMOKE, USUAL, ALL, SOAK = "smoke", "usual", "all", "soak"


@dataclass(frozen=True, slots=True)
class Plan:
    """A run of the faults: a minute, some minutes, everything, or at random for `minutes`."""

    size: str
    seed: int
    minutes: float = 0.0

    def pick(self, *, smoke: int, usual: int, all_: int) -> int:
        """Choose a number of kills or seconds by the size of the run."""
        return {SMOKE: smoke, USUAL: usual, ALL: all_, SOAK: all_}[self.size]

    def chance(self, name: str) -> random.Random:
        """Give the random numbers of one scenario, whatever ran before it."""
        return random.Random(f"{self.seed} {name}")

    @property
    def batch(self) -> int:
        """Give how many events a request of the load has."""
        return self.pick(smoke=50, usual=50, all_=100)

    @property
    def least_s(self) -> int:
        """Give how long a load goes on at least."""
        return self.pick(smoke=1, usual=2, all_=12)
