"""Put accepted batches into the inbox, else into the spool, or say quickly that neither can be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date

import redis
import structlog
from redis.exceptions import RedisError

import inbox
from app.bell import Bell
from app.breaker import Breaker
from app.feeder import Feeder
from door_counts import DoorCounts, record
from fail_points import fail_point
from quick_commands import QuickCommands
from spool import SpoolError, SpoolFullError

log = structlog.get_logger()

#: What a process may put between two looks at the room, and from when on it looks each time. So a
#: crowd of processes does not fill the rest of the server's memory, which Celery needs.
LOOK_EVERY_BYTES = 1 << 20
NEARLY_FULL = 0.5

_ENDED = "spooling_ended"


class SinkUnavailable(Exception):
    """The batch was not accepted; the client should try again after `retry_after_s`."""

    def __init__(self, code: str, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s


class Sink:
    """Write batches to the inbox and ring the bell; while the inbox is away, to the spool.

    A full inbox is no such case: it asks its clients to wait, and a spool would hide that more
    comes in than is stored. Whether it is full is looked at four times a second, for all requests.
    """

    def __init__(
        self,
        client: redis.Redis,
        bell: Bell,
        feeder: Feeder | None,
        *,
        breaker: Breaker,
        max_bytes: int,
        look_every_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._commands = QuickCommands(client)
        self._bell = bell
        self._feeder = feeder
        self._breaker = breaker
        self._max_bytes = max_bytes
        self.look_every_s = look_every_s
        self._clock = clock
        self._looked_at = float("-inf")
        self._fullness = 0.0
        self._put_bytes = 0
        #: What was logged last of the spool.
        self._said = _ENDED

    def put(self, body: bytes, *, events: int, days: Sequence[date], counts: DoorCounts) -> None:
        """Keep a batch. When this returns it is accepted; raises SinkUnavailable if not."""
        text = counts.as_text()
        if self._breaker.lets_through():
            try:
                full = self._is_full(body)
                if not full:
                    fail_point("door.before_put")
                    inbox.put(self._commands, body, events=events, days=days, counts=text)
                    fail_point("door.put")
            except RedisError as error:
                # An answer that came too late may have been a success. Then the batch comes twice,
                # from the spool or from the client, and its events are counted once.
                self._breaker.trip(error)
            else:
                self._breaker.close()
                if full:
                    raise SinkUnavailable(
                        "inbox_full", "more has come in than was stored: please send it again", 5
                    )
                self._bell.ring()
                self._say(_ENDED)
                return
        self._spool(body, events=events, days=days, counts=text)

    def count(self, counts: DoorCounts) -> None:
        """Count a request of which nothing goes into the inbox; without Redis it is not counted."""
        if not counts.received or not self._breaker.lets_through():
            return
        try:
            record(self._client, [counts])
        except RedisError as error:
            self._breaker.trip(error)
            return
        self._breaker.close()
        log.info("events_rejected", door=counts.door, received=counts.received, **counts.as_log())

    def _is_full(self, body: bytes) -> bool:
        """Look now and then while there is much room; other processes fill it too."""
        now = self._clock()
        self._put_bytes += len(body)
        is_due = now - self._looked_at >= self.look_every_s or self._put_bytes > LOOK_EVERY_BYTES
        if is_due or NEARLY_FULL < self._fullness < 1:
            self._fullness = inbox.read_room(self._client, max_bytes=self._max_bytes)
            self._looked_at, self._put_bytes = now, 0
        return self._fullness >= 1

    def _spool(self, body: bytes, *, events: int, days: Sequence[date], counts: str) -> None:
        if self._feeder is None:
            raise _away("the inbox cannot be reached: please try again")
        try:
            self._feeder.spool.put(body, events=events, days=days, counts=counts)
        except SpoolFullError as error:
            self._say("spool_full", detail=str(error))
            raise _away("the inbox cannot be reached, and the spool is full: try again") from None
        except SpoolError as error:
            self._say("spool_unusable", detail=str(error))
            raise _away("neither inbox nor spool can be used: please try again") from None
        self._say("spooling_began")
        self._feeder.watch()

    def _say(self, event: str, **fields: str) -> None:
        """Log that the use of the spool begins, ends or fails: once, not for each request."""
        if event != self._said:
            self._said = event
            log.warning(event, **fields)


def _away(detail: str) -> SinkUnavailable:
    return SinkUnavailable("inbox_unavailable", detail, 2)
