"""Put accepted batches into the inbox, or say quickly that it cannot be done now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date

import redis
import structlog
from redis.exceptions import RedisError

import inbox
from app.bell import Bell
from door_counts import DoorCounts, record

log = structlog.get_logger()


class SinkUnavailable(Exception):
    """The batch was not accepted; the client should try again after `retry_after_s`."""

    def __init__(self, code: str, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s


class Sink:
    """Write batches to the inbox and ring the bell.

    Two states are remembered for a moment, so that a crowd of requests does not each pay for
    finding them out: the inbox is full (looked at four times a second), and the inbox is away.
    """

    def __init__(
        self,
        client: redis.Redis,
        bell: Bell,
        *,
        max_bytes: int,
        look_every_s: float = 0.25,
        away_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._bell = bell
        self._max_bytes = max_bytes
        self._look_every_s = look_every_s
        self._away_s = away_s
        self._clock = clock
        self._looked_at = float("-inf")
        self._full = False
        self._away_until = float("-inf")

    def put(self, body: bytes, *, events: int, days: Sequence[date], counts: DoorCounts) -> None:
        """Append a batch. When this returns it is accepted; raises SinkUnavailable if not."""
        now = self._clock()
        if now < self._away_until:
            raise _away()
        try:
            if now - self._looked_at >= self._look_every_s:
                self._full = inbox.read_room(self._client, max_bytes=self._max_bytes) >= 1
                self._looked_at = now
            if self._full:
                raise SinkUnavailable(
                    "inbox_full", "more has come in than was stored: please send it again", 5
                )
            inbox.put(self._client, body, events=events, days=days, counts=counts.as_text())
        except RedisError as error:
            # An answer that came too late may have been a success: the client sends the events
            # again with the same ids, and they are counted once.
            self._away_until = self._clock() + self._away_s
            log.error("inbox_unavailable", error=type(error).__name__)
            raise _away() from None
        self._bell.ring()

    def count(self, counts: DoorCounts) -> None:
        """Count a request of which nothing goes into the inbox; without Redis it is not counted."""
        if not counts.received or self._clock() < self._away_until:
            return
        try:
            record(self._client, [counts])
        except RedisError as error:
            self._away_until = self._clock() + self._away_s
            log.error("inbox_unavailable", error=type(error).__name__)
            return
        log.info("events_rejected", door=counts.door, received=counts.received, **counts.as_log())


def _away() -> SinkUnavailable:
    return SinkUnavailable("inbox_unavailable", "the inbox cannot be reached: please try again", 2)
