"""How long to wait before what ended is started again."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_BACKOFF_S = 30.0
HEALTHY_AFTER_S = 60.0


@dataclass(slots=True)
class Backoff:
    """Wait twice as long after each end, until something ran for a minute."""

    failures: int = 0

    def next_wait_s(self, *, ran_s: float) -> float:
        """Note an end, and give the seconds to wait."""
        self.failures = 1 if ran_s > HEALTHY_AFTER_S else self.failures + 1
        # Bounded before it is a power: a server may fail for years.
        return min(2.0 ** min(self.failures - 1, 10), LONGEST_BACKOFF_S)


def how_ended(code: int) -> str:
    """Say how a process ended, from what its parent is told."""
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
