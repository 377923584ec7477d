"""The canary: an event that goes through the inbox to the tables every minute, and leaves no trace.

Its age tells at a glance whether Beat, inbox, workers and database work together: it is what was
last known of the newest canary that arrived. It stands in Redis, beside the inbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

CANARY = "millrace:canary"
#: Two may be lost, to a restart, say, before anybody is told.
TOO_OLD_S = 200.0


@dataclass(frozen=True, slots=True)
class Canary:
    """When the newest canary that arrived was sent, and when it arrived: seconds since 1970."""

    sent_s: float
    arrived_s: float

    @property
    def took_s(self) -> float:
        """Give how long its way took."""
        return max(0.0, self.arrived_s - self.sent_s)

    def age_s(self, now_s: float) -> float:
        """Give for how long nothing newer has arrived."""
        return max(0.0, now_s - self.sent_s)


def record_arrival(client: redis.Redis, canary: Canary) -> None:
    """Remember the canary that arrived last."""
    fields: dict[Any, Any] = {"sent": canary.sent_s, "arrived": canary.arrived_s}
    client.hset(CANARY, mapping=fields)


def read_arrival(client: redis.Redis) -> Canary | None:
    """Give the canary that arrived last; None before the first."""
    found: Any = client.hgetall(CANARY)
    if not found:
        return None
    return Canary(float(found[b"sent"]), float(found[b"arrived"]))
