"""Store events that came as a task's arguments, past the HTTP door and the inbox."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine

from intake.deny import DenyList
from intake.request import encode_batch, read_values
from intake.rows import Rules, Sender
from settings import Settings
from tasks.store import StoreResult, store_bodies


def store_direct(
    engine: Engine,
    settings: Settings,
    events: list[dict[str, Any]],
    *,
    task_id: str,
    now: datetime,
    known_days: set[date],
) -> dict[str, Any]:
    """Judge and store events; give counts and the verdicts on those rejected.

    An event without an id gets one from the task's id and its place, so that a task delivered
    twice stores it once.
    """
    sender = Sender(received_ms=int(now.timestamp() * 1000), idempotency_key=task_id)
    rules = Rules(
        max_event_bytes=settings.max_event_bytes,
        max_batch_events=settings.max_batch_events,
        retention_days=settings.open_days,
        strict_types=settings.strict_types,
        deny_list=DenyList.parse(settings.property_deny_list),
    )
    reading = read_values(events, sender=sender, rules=rules)
    result = StoreResult()
    if reading.rows:
        body = encode_batch(reading.rows, sender=sender)
        result = store_bodies(
            engine,
            [body],
            set(reading.days),
            known_days=known_days,
            zone=settings.report_timezone,
            secret_key=settings.secret_key,
        )
    return {**result.as_dict(), "rejected": reading.rejected}
