"""How many dead letters wait, for `/metrics` and `/readyz`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from models.dead_letter_list import NONE

RECENT = timedelta(hours=1)


def show_dead_letters(registry: CollectorRegistry, counted: Sequence[Any]) -> None:
    """Write the dead letters that wait by reason, and those of the last hour: their growth."""
    labels = ["dialect", "reason"]
    waiting = Gauge(
        "millrace_dead_letters", "Dead letters that wait for somebody", labels, registry=registry
    )
    recent = Gauge(
        "millrace_dead_letters_last_hour",
        "Those of them that were kept in the last hour",
        labels,
        registry=registry,
    )
    for row in counted:
        waiting.labels(row.dialect or NONE, row.reason).set(row.letters)
        recent.labels(row.dialect or NONE, row.reason).set(row.recent)


def note_dead_letters(waiting: int, *, limit: int) -> dict[str, Any]:
    """Say how many wait, which is no reason to send no requests here."""
    if waiting <= limit:
        return {"ok": True, "waiting": waiting}
    return {
        "ok": True,
        "waiting": waiting,
        "detail": f"more than {limit:,} wait: ./millrace dead-letters list",
    }
