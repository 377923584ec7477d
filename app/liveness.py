"""Whether what is accepted is stored: the inbox's age, and the canary that goes the whole way."""

from __future__ import annotations

import redis
from prometheus_client import CollectorRegistry, Gauge

from canary import TOO_OLD_S, Canary, read_arrival
from inbox import Depth


def show_canary(registry: CollectorRegistry, canary: Canary | None, *, now_s: float) -> None:
    """Write how old the canary is that arrived last; nothing before the first."""
    if canary is None:
        return
    figures = {
        "age_seconds": ("Since when no newer canary has arrived", canary.age_s(now_s)),
        "latency_seconds": ("What the last canary took from inbox to table", canary.took_s),
    }
    for name, (text, value) in figures.items():
        Gauge(f"millrace_canary_{name}", text, registry=registry).set(value)


def find_degraded(
    client: redis.Redis, depth: Depth, *, max_age_s: float, wants_canary: bool, now_s: float
) -> list[str]:
    """Say why events are accepted and not stored. It is no reason to send them elsewhere."""
    reasons = []
    if depth.oldest_age_s > max_age_s:
        reasons.append(
            f"the oldest batch waits for {depth.oldest_age_s:.0f} s (INBOX_MAX_AGE_S is "
            f"{max_age_s:g}): look at the workers and the database"
        )
    canary = read_arrival(client) if wants_canary else None
    if canary is not None and canary.age_s(now_s) > TOO_OLD_S:
        reasons.append(
            f"no canary has arrived for {canary.age_s(now_s):.0f} s: look at Beat, the workers "
            "and the database"
        )
    return reasons
