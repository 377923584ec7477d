"""The fused statement: store a set of batches and count what was new, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from msgspec import Raw
from sqlalchemy import text
from sqlalchemy.orm import Session

from event_lines import as_json
from event_types import LINKING
from models.events import BATCH_COLUMNS, ROW_COLUMNS
from models.product_metrics import add_counts_sql, counts_sql
from models.suppressions import Salts, digest_sql
from models.traffic import is_counted_sql


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """Count what became of the events of one statement."""

    received: int
    stored: int
    refused: int = 0

    @property
    def duplicate(self) -> int:
        """Count the events whose id was known before, or stood in the set twice."""
        return self.received - self.refused - self.stored


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

# With the limit each event is looked up by itself: the table may be larger than any batch.
_ALLOWED = f"""
    SELECT * FROM ({_RECEIVED}
    ) AS received
    WHERE (SELECT true FROM suppressions WHERE digest = {digest_sql()} LIMIT 1) IS NULL"""

#: The first user who is seen with an anonymous id keeps it. What is excluded is nobody's word.
_LINKED = f"""
), linked AS (
    INSERT INTO identities (anonymous_id, user_id)
    SELECT DISTINCT ON (anonymous_id) anonymous_id, user_id FROM stored
    WHERE event_type IN ({", ".join(f"'{name}'" for name in sorted(LINKING))})
        AND {is_counted_sql()} AND user_id IS NOT NULL AND anonymous_id IS NOT NULL
    ORDER BY anonymous_id, occurred_at, event_id
    ON CONFLICT (anonymous_id) DO NOTHING
    RETURNING anonymous_id
), relinked AS (
    INSERT INTO dirty_identities (anonymous_id) SELECT anonymous_id FROM linked"""
_LINKING_BYTES = tuple(f'"{name}"'.encode() for name in sorted(LINKING))


def store_sql(*, suppressing: bool, linking: bool) -> str:
    """Write the fused statement; it gives how many events were allowed and how many stored.

    Only rows that the insert really returned go on to be counted and linked, so storing a batch
    again, in any order and any number of times, changes nothing. Excluded events are neither: they
    mark their day only, on which they are counted apart. The day marks are rows of their
    own rather than one row a day: two workers then never wait for each other's mark.

    Most batches need neither the look at suppressions nor the links, and do not pay for them.
    """
    returned = "event_type, product_id, quantity, value, items, occurred_at, excluded"
    if linking:
        returned += ", event_id, user_id, anonymous_id"
    allowed = f"allowed AS MATERIALIZED ({_ALLOWED}\n), " if suppressing else ""
    source = f" SELECT {', '.join(_COLUMNS)} FROM allowed" if suppressing else _RECEIVED
    return f"""
WITH {allowed}stored AS (
    INSERT INTO events ({", ".join(_COLUMNS)}){source}
    ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING {returned}
), counted AS ({counts_sql("stored")}
), metrics AS ({add_counts_sql("product_metrics", "counted")}{_LINKED if linking else ""}
), marked AS (
    INSERT INTO dirty_days (day)
    SELECT DISTINCT (occurred_at AT TIME ZONE :zone)::date FROM stored
)
SELECT {"(SELECT count(*) FROM allowed)" if suppressing else "NULL"} AS allowed,
    count(*) AS stored FROM stored"""


_STORE = {
    (suppressing, linking): text(store_sql(suppressing=suppressing, linking=linking))
    for suppressing in (False, True)
    for linking in (False, True)
}

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

_IS_OTHER = f"""
({", ".join(f"received.{name}" for name in _COMPARED)})
    IS DISTINCT FROM ({", ".join(f"events.{name}" for name in _COMPARED)})"""

#: The first event of an id wins; another content under the same id is worth telling. Each is looked
#: up by itself: a join reads all that is stored, since nobody tells the planner how few they are.
CONFLICTING = {
    suppressing: text(
        f"SELECT count(*) FROM ({source}\n) AS received CROSS JOIN LATERAL ("
        f"SELECT {', '.join(_COMPARED)} FROM events WHERE event_id = received.event_id LIMIT 1"
        f") AS events WHERE {_IS_OTHER}"
    )
    for suppressing, source in {False: _RECEIVED, True: _ALLOWED}.items()
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store may not take: days that are sealed, and people who are suppressed."""

    sealed_through: date | None
    salts: Salts | None


def read_limits(session: Session, *, secret_key: str) -> Limits:
    """Read what the transaction may not store. Raises SecretKeyMissingError.

    Read it with the lock for stores held: purges and erasures wait for the stores that did not
    see what they have written.
    """
    sealed, suppressing = session.execute(_LIMITS).one()
    return Limits(sealed, Salts.of(secret_key) if suppressing else None)


_LIMITS = text(
    "SELECT (SELECT max(day) FROM daily_totals WHERE sealed_at IS NOT NULL), "
    "EXISTS (SELECT FROM suppressions)"
)


def store_batches(
    session: Session, batches: Sequence[bytes], *, zone: str, salts: Salts | None = None
) -> StoreCounts:
    """Insert the events of some batches, count them and mark their days, in the open transaction.

    A batch is the JSON object that the door put into the inbox: the fields all its events share,
    and `events`, a list of rows. Each event's partition must exist. With `salts`, the events of
    suppressed people are left out.
    """
    if not batches:
        return StoreCounts(received=0, stored=0)
    parts = part_batches(batches)
    statement = _STORE[salts is not None, _may_link(parts.events)]
    parameters = {**parts.as_parameters(), **_salt(salts), "zone": zone}
    allowed, stored = session.execute(statement, parameters).one()
    refused = 0 if allowed is None else parts.count - allowed
    return StoreCounts(received=parts.count, stored=stored, refused=refused)


def count_conflicting(
    session: Session, batches: Sequence[bytes], *, salts: Salts | None = None
) -> int:
    """Count the events whose id is stored with another content. Worth asking after duplicates."""
    parameters = {**part_batches(batches).as_parameters(), **_salt(salts)}
    return int(session.execute(CONFLICTING[salts is not None], parameters).scalar_one())


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


def _salt(salts: Salts | None) -> dict[str, Any]:
    return {} if salts is None else salts.as_parameters()


def _may_link(events: bytes) -> bool:
    """Tell at a glance whether there may be an event that links; its type is a word of its own."""
    return any(word in events for word in _LINKING_BYTES)


def part_batches(batches: Sequence[bytes]) -> Parts:
    """Part what the batches share from their events, without reading these."""
    shared, lists, count = [], [], 0
    for batch in batches:
        try:
            fields = _read_fields(as_json(batch))
            # Kept apart from events, by whoever stores the batch.
            fields.pop("rejected", None)
            events = fields.pop("events")
            count += len(_read_list(events))
        except (msgspec.MsgspecError, RecursionError, KeyError):
            # What is no list of events, the database refuses: it becomes a dead letter.
            fields, events = {}, _NO_LIST
        shared.append(fields)
        # A line may not hold another: clients may write JSON over several.
        lists.append(bytes(events).replace(b"\n", b" "))
    return Parts(shared=msgspec.json.encode(shared), events=b"\n".join(lists), count=count)
