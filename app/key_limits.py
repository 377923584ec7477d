"""The rate limit of a write key: events a minute, counted in Redis by the `limits` library."""

from __future__ import annotations

import math
import time

import redis
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from app.breaker import Breaker
from app.errors import Problem


class KeyLimits:
    """Count the events of write keys that have a limit; other keys never come here.

    While Redis does not answer, each process counts for itself: a limit is then as many times too
    wide as there are processes.
    """

    def __init__(self, client: redis.Redis, breaker: Breaker | None = None) -> None:
        shared = RedisStorage("redis://", connection_pool=client.connection_pool)
        self._shared = SlidingWindowCounterRateLimiter(shared)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._breaker = breaker or Breaker()

    def spend(self, key_id: str, events: int, *, limit: int) -> None:
        """Count events against a key's limit a minute. Raises Problem 429."""
        item = RateLimitItemPerMinute(limit, namespace="key")
        if not self._breaker.is_open:
            try:
                return self._spend(self._shared, item, key_id, events)
            except RedisError as error:
                self._breaker.trip(error)
        return self._spend(self._own, item, key_id, events)

    def _spend(
        self,
        limiter: SlidingWindowCounterRateLimiter,
        item: RateLimitItemPerMinute,
        key_id: str,
        events: int,
    ) -> None:
        if limiter.hit(item, key_id, cost=events):
            return
        wait_s = limiter.get_window_stats(item, key_id).reset_time - time.time()
        raise Problem(
            429,
            "rate_limited",
            f"this write key may send {item.amount} events a minute, and {events} more are too "
            "many: send them later, or in smaller parts",
            headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
        )
