"""The salt of a day: with it addresses are hashed, and without it nobody can find them again."""

from __future__ import annotations

import os
from threading import Lock

import redis
from redis.exceptions import RedisError

from app.breaker import Breaker
from event_ids import DAY_MS

#: Processes whose clocks are behind may ask for a day's salt a little after the day.
_LINGER_MS = 3_600_000


class DailySalt:
    """Give the random salt of a UTC day, the same to every process, kept in Redis until it ends.

    When the salt is gone, the day's hashes tell visits of one address apart from those of others
    and nothing else: not even by trying all addresses can one be found. A process that cannot ask
    Redis for the day's salt uses one of its own meanwhile: an address then has two hashes that day.
    """

    def __init__(self, client: redis.Redis, breaker: Breaker) -> None:
        self._client = client
        self._breaker = breaker
        self._kept: tuple[int, bytes] = (-1, b"")
        self._own: tuple[int, bytes] = (-1, b"")
        self._lock = Lock()

    def of(self, now_ms: int) -> bytes:
        """Give the salt of the day."""
        number = now_ms // DAY_MS
        kept, salt = self._kept
        if kept == number:
            return salt
        if not self._breaker.is_open:
            try:
                salt = self._fetch(number, left_ms=DAY_MS - now_ms % DAY_MS)
            except RedisError as error:
                self._breaker.trip(error)
            else:
                self._kept = (number, salt)
                return salt
        return self._own_of(number)

    def _fetch(self, number: int, *, left_ms: int) -> bytes:
        key = f"millrace:salt:{number}"
        with self._client.pipeline(transaction=True) as pipe:
            pipe.set(key, os.urandom(32), nx=True, px=left_ms + _LINGER_MS)
            pipe.get(key)
            salt: bytes = pipe.execute()[1]
        return salt

    def _own_of(self, number: int) -> bytes:
        with self._lock:
            if self._own[0] != number:
                self._own = (number, os.urandom(32))
            return self._own[1]
