"""The queue between the application and the thread that sends, bounded in events and in bytes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from millrace_client.backoff import Wait

#: Once the client closes, no attempt waits longer for the next, unless the server asked.
_HASTE_S = 0.5


class Entry(NamedTuple):
    """One event as JSON, and when it was put here (monotonic seconds)."""

    body: bytes
    put_at: float


class Outbox:
    """Entries in the order they were put. Those that were taken count until they are settled."""

    def __init__(
        self,
        *,
        max_events: int,
        max_bytes: int,
        batch_events: int,
        batch_bytes: int,
        linger_s: float,
    ) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._batch_events = batch_events
        self._batch_bytes = batch_bytes
        self._linger_s = linger_s
        # A signal handler of the application may track while its own thread is in here.
        self._lock = threading.RLock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._entries: deque[Entry] = deque()
        self._waiting_bytes = 0
        self._held_bytes = 0
        self._taken = self._settled = 0
        self._hurry_to = 0
        self._close_at: float | None = None

    def __len__(self) -> int:
        with self._lock:
            return self._put - self._settled

    @property
    def _put(self) -> int:
        """Count the entries that were ever put here.

        Not by adding one to a number: a signal handler that tracks could come in between.
        """
        return self._taken + len(self._entries)

    @property
    def is_closed(self) -> bool:
        """Tell whether nothing more is put here."""
        return self._close_at is not None

    def put(self, body: bytes, *, wait: bool = False) -> bool:
        """Append an event. False when there is no room, or the outbox is closed.

        With `wait`, block until there is room.
        """
        size = len(body)
        with self._lock:
            while self._close_at is None and not self._fits(size):
                if not wait:
                    return False
                self._room.wait()
            if self._close_at is not None:
                return False
            self._entries.append(Entry(body, time.monotonic()))
            self._waiting_bytes += size
            self._held_bytes += size
            # The thread is woken to begin a batch and to end one, not for each event in between.
            count = len(self._entries)
            if count == 1 or count == self._batch_events or self._is_heavy(size):
                self._work.notify()
            return True

    def take(self) -> list[Entry]:
        """Wait for the next batch; an empty one says that the outbox is closed and empty."""
        with self._lock:
            while not self._is_due():
                if self._close_at is not None:
                    return []
                left = self._linger_left()
                self._work.wait(left)
            batch: list[Entry] = []
            size = 0
            while self._entries and len(batch) < self._batch_events:
                size += len(self._entries[0].body)
                if batch and size > self._batch_bytes:
                    break
                batch.append(self._entries.popleft())
            self._waiting_bytes -= sum(len(entry.body) for entry in batch)
            self._taken += len(batch)
            if not self._entries:
                self._waiting_bytes = 0
            return batch

    def settle(self, batch: Sequence[Entry]) -> None:
        """Let go of a batch whose fate is known: there is room again."""
        with self._lock:
            self._settled += len(batch)
            self._held_bytes -= sum(len(entry.body) for entry in batch)
            if self._settled == self._put:
                self._held_bytes = 0
            self._room.notify_all()

    def wait_until_settled(self, timeout_s: float | None) -> bool:
        """Send what was put until now without lingering; tell whether its fate is known in time."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            target = self._hurry_to = self._put
            self._work.notify()
            while self._settled < target:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._room.wait(left)
            return True

    def pause(self, wait: Wait) -> bool:
        """Wait before the next attempt; False when the client closes before that."""
        started = time.monotonic()
        until = started + wait.seconds
        with self._lock:
            while True:
                now = time.monotonic()
                if self._close_at is not None:
                    if not wait.asked:
                        until = min(until, now + _HASTE_S)
                    if until > self._close_at:
                        return False
                if now >= until:
                    return True
                self._work.wait(until - now)

    def close(self, *, within_s: float) -> None:
        """Take nothing more, and send the rest without lingering. Closing again is sooner."""
        close_at = time.monotonic() + within_s
        with self._lock:
            self._close_at = close_at if self._close_at is None else min(self._close_at, close_at)
            self._work.notify_all()
            self._room.notify_all()

    def time_left_s(self) -> float | None:
        """Give the seconds until sending must end; None while the outbox is open."""
        close_at = self._close_at
        return None if close_at is None else max(0.0, close_at - time.monotonic())

    def _fits(self, size: int) -> bool:
        return (
            self._put - self._settled < self._max_events
            and self._held_bytes + size <= self._max_bytes
        )

    def _is_heavy(self, added: int) -> bool:
        return self._waiting_bytes >= self._batch_bytes > self._waiting_bytes - added

    def _is_due(self) -> bool:
        if not self._entries:
            return False
        return (
            len(self._entries) >= self._batch_events
            or self._waiting_bytes >= self._batch_bytes
            or self._taken < self._hurry_to
            or self._close_at is not None
            or self._linger_left() == 0
        )

    def _linger_left(self) -> float | None:
        if not self._entries:
            return None
        return max(0.0, self._entries[0].put_at + self._linger_s - time.monotonic())
