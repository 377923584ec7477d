"""Whether Redis answers: found out by one request a second, and known to all others."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

import structlog
from redis.exceptions import RedisError

log = structlog.get_logger()


class Breaker:
    """Remember that Redis is away, so that a crowd of requests does not each wait for it.

    The sink asks `lets_through`, and so tries once in `away_s`. Whatever else would ask Redis does
    without while `is_open`: a request waits once at the most.
    """

    def __init__(self, *, away_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_open = False
        self.away_s = away_s
        self._clock = clock
        self._try_at = 0.0
        self._lock = Lock()

    def lets_through(self) -> bool:
        """Tell whether to try Redis: always while it answers, else one request in `away_s`."""
        if not self.is_open:
            return True
        with self._lock:
            now = self._clock()
            if self.is_open and now < self._try_at:
                return False
            self._try_at = now + self.away_s
            return True

    def trip(self, error: RedisError) -> None:
        """Note that Redis failed."""
        with self._lock:
            begins, self.is_open = not self.is_open, True
            self._try_at = self._clock() + self.away_s
        if begins:
            log.error("inbox_unavailable", error=type(error).__name__)

    def close(self) -> None:
        """Note that Redis answered."""
        if self.is_open:
            with self._lock:
                ends, self.is_open = self.is_open, False
            if ends:
                log.info("inbox_back")
