"""The salt of a day: with it addresses are hashed, and without it nobody can find them again."""

from __future__ import annotations

import os

import redis
from redis.exceptions import RedisError

from app.errors import Problem
from event_ids import DAY_MS

#: Processes whose clocks are behind may ask for a day's salt a little after the day.
_LINGER_MS = 3_600_000


class DailySalt:
    """Give the random salt of a UTC day, the same to every process, kept in Redis until it ends.

    When the salt is gone, the day's hashes tell visits of one address apart from those of others
    and nothing else: not even by trying all addresses can one be found.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._kept: tuple[int, bytes] = (-1, b"")

    def of(self, now_ms: int) -> bytes:
        """Give the salt of the day. Raises Problem 503 when it cannot be had."""
        number = now_ms // DAY_MS
        kept, salt = self._kept
        if kept != number:
            salt = self._fetch(number, left_ms=DAY_MS - now_ms % DAY_MS)
            self._kept = (number, salt)
        return salt

    def _fetch(self, number: int, *, left_ms: int) -> bytes:
        key = f"millrace:salt:{number}"
        try:
            with self._client.pipeline(transaction=True) as pipe:
                pipe.set(key, os.urandom(32), nx=True, px=left_ms + _LINGER_MS)
                pipe.get(key)
                salt: bytes = pipe.execute()[1]
        except RedisError:
            raise Problem(
                503,
                "inbox_unavailable",
                "the inbox cannot be reached: please try again",
                headers={"Retry-After": "2"},
            ) from None
        return salt
