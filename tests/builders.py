"""Events, bodies and recounts for the tests: what a client and the door would make."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import orjson
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from event_ids import id_day
from event_lines import as_json
from intake.request import Reading, encode_batch, read_values
from intake.rows import Rules, Sender
from models.base import Base
from models.database import transaction
from models.events import Event
from tasks.store import StoreResult, store_bodies

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
TODAY = NOW.date()
DAY_MS = 86_400_000
SENDER = Sender(received_ms=NOW_MS)
RULES = Rules(max_event_bytes=2048, max_batch_events=1000, retention_days=365)
WIDE_RULES = replace(RULES, max_event_bytes=1_048_576)


def uuid7_at(time_ms: int, number: int = 1) -> str:
    """Make the UUIDv7 that a client might make at a time."""
    text = f"{time_ms:012x}7{0:03x}8{number:015x}"
    return str(uuid.UUID(text))


def at(text: str) -> int:
    """Give an ISO 8601 text as milliseconds since 1970."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def read(*events: Any, sender: Sender = SENDER, rules: Rules = RULES) -> Reading:
    """Judge decoded events as the door does."""
    return read_values(list(events), sender=sender, rules=rules)


def body_of(*events: dict[str, Any], sender: Sender = SENDER, rules: Rules = RULES) -> bytes:
    """Make the inbox entry of events, all of which the door accepts."""
    reading = read(*events, sender=sender, rules=rules)
    assert reading.rejected == []
    return encode_batch(reading.rows, sender=sender)


def days_in(bodies: Iterable[bytes]) -> set[date]:
    """List the days of the ids in some bodies."""
    ids = [event["event_id"] for body in bodies for event in orjson.loads(as_json(body))["events"]]
    return {day for day in map(id_day, ids) if day is not None}


def store(engine: Engine, *bodies: bytes, zone: str = "UTC") -> StoreResult:
    """Store bodies in one transaction."""
    return store_bodies(engine, bodies, days_in(bodies), known_days=set(), zone=zone)


def store_events(engine: Engine, *events: dict[str, Any], zone: str = "UTC") -> StoreResult:
    """Store events as the door and the worker would."""
    return store(engine, body_of(*events), zone=zone)


def crafted(*rows: dict[str, Any]) -> bytes:
    """Make an inbox entry that the door would not make; what a row leaves out is filled in."""
    return orjson.dumps(
        {"received_at": "2026-03-15T12:00:00Z", "events": [crafted_row(**row) for row in rows]}
    )


def crafted_row(**fields: Any) -> dict[str, Any]:
    """Make a row with what the table needs."""
    return {
        # Without a time, for which there always is a partition.
        "event_id": f"00000000-0000-8000-8000-{uuid.uuid4().hex[:12]}",
        "occurred_at": "2026-03-15T12:00:00Z",
        "event_type": "product_view",
        "event_category": "product",
        "event_action": "view",
        **fields,
    }


def count_events(session: Session) -> int:
    """Count the stored events."""
    return session.scalar(select(func.count()).select_from(Event)) or 0


def body(answer: TestResponse) -> Any:
    """Read the JSON of an answer."""
    return answer.json


def empty(engine: Engine) -> None:
    """Delete all rows, between two examples of a property."""
    with transaction(engine) as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
