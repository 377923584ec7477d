"""Counts of what became of the events."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stats:
    """What became of the events of this process, at one moment."""

    #: Waiting, or on their way.
    queued: int = 0
    #: Confirmed by the server.
    sent: int = 0
    #: Refused by the server, by reason.
    rejected: dict[str, int] = field(default_factory=dict)
    #: Let go by the client, by reason.
    dropped: dict[str, int] = field(default_factory=dict)
    #: Requests that were sent again.
    retried: int = 0

    @property
    def tracked(self) -> int:
        """Count all events: each is exactly one of queued, sent, rejected and dropped.

        For an instant, while a batch comes to rest, its events are both queued and one of these.
        """
        return self.queued + self.sent + self.failed

    @property
    def failed(self) -> int:
        """Count the events that were or will not be delivered."""
        return sum(self.rejected.values()) + sum(self.dropped.values())


class Tally:
    """The counts as they grow."""

    def __init__(self) -> None:
        # A signal handler may count while its own thread does.
        self._lock = threading.RLock()
        self._sent = 0
        self._retried = 0
        self._rejected: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def add_sent(self, events: int) -> None:
        """Count confirmed events."""
        with self._lock:
            self._sent += events

    def add_retry(self) -> None:
        """Count a request that is sent again."""
        with self._lock:
            self._retried += 1

    def add_rejected(self, reason: str) -> int:
        """Count an event that the server refused; give how many were for this reason."""
        with self._lock:
            self._rejected[reason] += 1
            return self._rejected[reason]

    def add_dropped(self, reason: str) -> int:
        """Count an event that was let go; give how many were for this reason."""
        with self._lock:
            self._dropped[reason] += 1
            return self._dropped[reason]

    def read(self, *, queued: int) -> Stats:
        """Give all counts."""
        with self._lock:
            return Stats(
                queued, self._sent, dict(self._rejected), dict(self._dropped), self._retried
            )
