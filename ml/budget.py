"""The budget of a training: the seconds and the memory that it may take."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """What a training may take.

    Attributes
    ----------
    seconds : float
        From the first look at the data to packing. What has begun is finished; when a third of
        them is spent tuning tries nothing more, and nothing else looks at the clock.
    memory_bytes : int
        Of the whole process. Reading keeps to its share of it, and what the sources learn to
        what `ml.sizes` says; nothing else asks.
    """

    seconds: float
    memory_bytes: int

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise ValueError(f"seconds must be > 0, got {self.seconds}")
        if self.memory_bytes <= 0:
            raise ValueError(f"memory_bytes must be > 0, got {self.memory_bytes}")


class Stopwatch:
    """Seconds since it was made, against those of a budget.

    Parameters
    ----------
    budget : Budget, optional
        None: there is no end.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self, budget: Budget | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.budget = budget
        self._clock = clock
        self._began = clock()

    def elapsed_s(self) -> float:
        """Return the seconds since it was made."""
        return self._clock() - self._began

    def left_s(self) -> float:
        """Return the seconds that are left, never less than none; infinite without a budget."""
        if self.budget is None:
            return float("inf")
        return max(0.0, self.budget.seconds - self.elapsed_s())

    def is_spent(self) -> bool:
        """Tell whether no time is left."""
        return self.left_s() <= 0


def give_back_memory() -> None:
    """Give the system back what was freed.

    glibc keeps what arrays below 32 MB leave behind, and each thread's apart: after some
    hundred of them that is more than what is in use. Elsewhere this does nothing.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
