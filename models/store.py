"""The fused statement: store a set of batches and count what was new, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Raw
from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models.events import BATCH_COLUMNS, ROW_COLUMNS
from models.product_metrics import add_counts_sql, counts_sql


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """Count what became of the events of one statement."""

    received: int
    stored: int

    @property
    def duplicate(self) -> int:
        """Count the events whose id was known before, or stood in the set twice."""
        return self.received - self.stored


@dataclass(frozen=True, slots=True)
class Parts:
    """Batches as the statements read them: what each shares, its events in a line, their count."""

    shared: bytes
    events: bytes
    count: int

    def as_parameters(self) -> dict[str, str]:
        """Give the parameters of a statement. Raises UnicodeDecodeError."""
        return {"shared": self.shared.decode(), "events": self.events.decode()}


def _typed(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


_COLUMNS = (*BATCH_COLUMNS, *ROW_COLUMNS)
# The batches come as two lists of the same length: what each shares, as JSON, and its events, as a
# line of text. Inside one document the database would read each event twice more to part them.
_RECEIVED = f"""
    SELECT {", ".join(_COLUMNS)}
    FROM ROWS FROM (
        json_to_recordset(CAST(:shared AS json)) AS ({_typed(BATCH_COLUMNS)}),
        string_to_table(CAST(:events AS text), chr(10))
    ) AS batch({", ".join(BATCH_COLUMNS)}, events)
    CROSS JOIN LATERAL json_to_recordset(CAST(batch.events AS json))
        AS event({_typed(ROW_COLUMNS)})"""

_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_read_list = msgspec.json.Decoder(list[Raw]).decode
_NO_LIST = Raw(b"{}")

#: Only rows that the insert really returned go on to be counted, so storing a batch again, in any
#: order and any number of times, changes nothing. The day marks are rows of their own rather than
#: one row a day: two workers then never wait for each other's mark.
STORE: TextClause = text(
    f"""
WITH stored AS (
    INSERT INTO events ({", ".join(_COLUMNS)}){_RECEIVED}
    ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_type, product_id, quantity, value, items, occurred_at
), counted AS ({counts_sql("stored")}
), metrics AS ({add_counts_sql("product_metrics", "counted")}
), marked AS (
    INSERT INTO dirty_days (day)
    SELECT DISTINCT (occurred_at AT TIME ZONE :zone)::date FROM stored
)
SELECT count(*) FROM stored"""
)

_COMPARED = (
    "event_type",
    "user_id",
    "anonymous_id",
    "session_id",
    "product_id",
    "entity_id",
    "quantity",
    "value",
    "items",
    "properties",
)

#: The first event of an id wins; another content under the same id is worth telling.
CONFLICTING: TextClause = text(
    f"""
SELECT count(*) FROM ({_RECEIVED}
) AS received JOIN events USING (event_id)
WHERE ({", ".join(f"received.{name}" for name in _COMPARED)})
    IS DISTINCT FROM ({", ".join(f"events.{name}" for name in _COMPARED)})"""
)


def store_batches(session: Session, batches: Sequence[bytes], *, zone: str) -> StoreCounts:
    """Insert the events of some batches, count them and mark their days, in the open transaction.

    A batch is the JSON object that the door put into the inbox: the fields all its events share,
    and `events`, a list of rows. Each event's partition must exist.
    """
    if not batches:
        return StoreCounts(received=0, stored=0)
    parts = part_batches(batches)
    stored = session.execute(STORE, {**parts.as_parameters(), "zone": zone}).scalar_one()
    return StoreCounts(received=parts.count, stored=stored)


def count_conflicting(session: Session, batches: Sequence[bytes]) -> int:
    """Count the events whose id is stored with another content. Worth asking after duplicates."""
    found = session.execute(CONFLICTING, part_batches(batches).as_parameters())
    return int(found.scalar_one())


def read_stored_ids(session: Session, event_ids: Sequence[str]) -> set[str]:
    """Give those of some ids under which an event is stored."""
    if not event_ids:
        return set()
    found = session.scalars(
        text(
            "SELECT CAST(event_id AS text) FROM events WHERE event_id = ANY(CAST(:ids AS uuid[]))"
        ),
        {"ids": list(event_ids)},
    )
    return set(found)


def part_batches(batches: Sequence[bytes]) -> Parts:
    """Part what the batches share from their events, without reading these."""
    shared, lists, count = [], [], 0
    for batch in batches:
        try:
            fields = _read_fields(batch)
            events = fields.pop("events")
            count += len(_read_list(events))
        except (msgspec.MsgspecError, KeyError):
            # What is no list of events, the database refuses: it becomes a dead letter.
            fields, events = {}, _NO_LIST
        shared.append(fields)
        # A line may not hold another: clients may write JSON over several.
        lists.append(bytes(events).replace(b"\n", b" "))
    return Parts(shared=msgspec.json.encode(shared), events=b"\n".join(lists), count=count)
