"""How wrong a device's clock is: the least of received minus sent over its recent requests.

A request takes time to come and never less than none, so of several requests the one with the
smallest difference tells most about the clock, and a stalled one tells nothing. Correcting each
request by its own difference would fold its way into the times of its events.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Differences up to this are taken for the way of the request, not for a wrong clock.
TOLERATED_MS = 30_000
#: So near to none a difference is only when the clock is right.
RIGHT_MS = 2_000
#: A request that is later than the best one by more than this was not stalled: its sender would
#: have given up before. The clock was set back.
LONGEST_WAY_MS = 120_000
#: Requests count in the window of time in which they came and in the next: clocks drift.
WINDOW_MS = 1_800_000


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known of a clock: the least difference in a window of time, and in the one before."""

    window: int
    least_ms: int
    before_ms: int

    @property
    def behind_ms(self) -> int:
        """Give the best estimate of by how much the clock is behind ours."""
        return min(self.least_ms, self.before_ms)

    @property
    def correction_ms(self) -> int:
        """Give what to add to the device's times; zero for a clock that is right, or nearly."""
        return self.behind_ms if abs(self.behind_ms) > TOLERATED_MS else 0

    def explains(self, seen_ms: int, *, received_ms: int) -> bool:
        """Tell whether a difference is what this clock and the way of a request can make."""
        if received_ms // WINDOW_MS - self.window > 1:
            return False
        if abs(seen_ms) <= RIGHT_MS:
            return self.correction_ms == 0
        return seen_ms - self.behind_ms <= LONGEST_WAY_MS


def note_difference(known: Clock | None, seen_ms: int, *, received_ms: int) -> Clock:
    """Learn from one more request: `seen_ms` is received minus sent, `received_ms` by our clock."""
    window = received_ms // WINDOW_MS
    if known is None or not known.explains(seen_ms, received_ms=received_ms):
        return Clock(window, seen_ms, seen_ms)
    if window > known.window:
        return Clock(window, seen_ms, known.least_ms)
    if seen_ms >= known.least_ms:
        return known
    return Clock(known.window, seen_ms, known.before_ms)
