"""Export: the wanted events as CSV or NDJSON, whose text PostgreSQL writes.

The events come in the order of their ids, in chunks with a transaction each that ends before the
chunk is handed on: however slow the reader is, a purge need not wait for it, and memory holds one
chunk. Whoever knows the last id that was read can go on from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from psycopg.errors import UndefinedTable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from event_ids import first_id_of
from models.daily_aggregates import UNDATED_END
from models.event_list import EventFilter
from models.partitions import partition_name, read_partition_days

#: Rows of a chunk, and the bytes after which it ends all the same.
CHUNK_ROWS = 10_000
CHUNK_BYTES = 16 * 1024 * 1024
#: Rows that are joined to one piece of text.
PIECE_ROWS = 500
_ID_CHARACTERS = 36
#: Binary COPY begins with a header; each row has a number of fields and the length of its field.
_SIGNATURE, _HEADER_BYTES, _FIELD_AT = b"PGCOPY\n\xff\r\n\0", 19, 6
_BEFORE_IDS = str(UUID(int=0))
_LAST_DAY = date(9999, 12, 20)

#: The columns of an export, and the columns of events they are. The first ones are a contract with
#: those who read such files already.
EXPORTED = {
    "id": "event_id",
    "created_at": "occurred_at",
    "event_type": "event_type",
    "user_id": "user_id",
    "anonymous_id": "anonymous_id",
    "source": "source",
    "ip_address": "ip_address",
    "payload": "properties",
    "received_at": "received_at",
    "event_category": "event_category",
    "event_action": "event_action",
    "session_id": "session_id",
    "device_type": "device_type",
    "product_id": "product_id",
    "entity_type": "entity_type",
    "entity_id": "entity_id",
    "items": "items",
    "quantity": "quantity",
    "value": "value",
    "duration_ms": "duration_ms",
    "message_id": "message_id",
    "user_agent": "user_agent",
    "context": "context",
    "original_at": "original_at",
    "sent_at": "sent_at",
    "clock": "clock",
    "excluded": "excluded",
}
EXPORT_COLUMNS = tuple(EXPORTED)
TIMES = ("created_at", "received_at", "original_at", "sent_at")
NUMBERS = ("quantity", "value", "duration_ms")
#: The word in the last line of an export that could not be finished.
INTERRUPTED = "export_interrupted"
DOCUMENTS = ("payload", "items", "context")

#: A text that begins with a tab, a carriage return, `+`, `-`, `=` or `@` is a formula to a
#: spreadsheet, unless an apostrophe stands before it. One that begins with an apostrophe gets
#: another, so that an import can tell which to take off. These are the characters' codes.
_GUARDED = (9, 13, 39, 43, 45, 61, 64)


class ExportInterruptedError(RuntimeError):
    """Events that were still to be exported have been purged."""


@dataclass(frozen=True, slots=True)
class Form:
    """Say how a line is written: its SELECT list, its kind, its end, and where its id is."""

    header: bytes
    columns: str
    as_json: bool
    line_end: bytes

    @property
    def id_at(self) -> int:
        """Give the place in a line at which the id begins."""
        return len('{"id":"') if self.as_json else 0

    def interruption(self, last_id: str) -> bytes:
        """Write the last line of an export that is not complete. No reader takes it for an event.

        In CSV it has a cell too many.
        """
        if self.as_json:
            return f'{{"error":"{INTERRUPTED}","last_id":"{last_id}"}}\n'.encode()
        cells = [INTERRUPTED, last_id, *[""] * (len(EXPORT_COLUMNS) - 1)]
        return ",".join(cells).encode() + self.line_end

    def to_sql(self, selection: str) -> str:
        """Write the COPY of the events that `selection` (FROM and what follows) gives."""
        if not self.as_json:
            return f"COPY (SELECT {self.columns} {selection}) TO STDOUT (FORMAT csv)"
        # The binary form gives each document as it is, without a look at every character.
        return (
            f"COPY (SELECT row_to_json(line) FROM (SELECT {self.columns} {selection}) AS line) "
            "TO STDOUT (FORMAT binary)"
        )

    def read_lines(self, messages: list[Any]) -> list[Any]:
        """Take the lines, without their ends, out of some messages of the server, one for each."""
        if not self.as_json:
            return [message[:-1] for message in messages]
        if messages[0][: len(_SIGNATURE)] == _SIGNATURE:
            messages[0] = messages[0][_HEADER_BYTES:]
        # Two bytes alone are the end of the data.
        return [message[_FIELD_AT:] for message in messages if len(message) > _FIELD_AT]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of an export as pieces of text, and the id of the last event among them."""

    pieces: list[bytes]
    rows: int
    last_id: str


def moment_sql(column: str) -> str:
    """Write the cheapest way to ISO 8601: as JSON writes it, without the quotes."""
    return f"btrim(to_json({column})::text, '\"')"


def neutral_sql(column: str) -> str:
    """Write a text that is no formula to a spreadsheet, whatever the column says."""
    codes = ",".join(map(str, _GUARDED))
    return f"CASE WHEN ascii({column}) IN ({codes}) THEN '''' || {column} ELSE {column} END"


def _cell(name: str, column: str, *, safe: bool) -> str:
    if name in TIMES:
        return f"{moment_sql(column)} AS {name}"
    if not safe or name == "id" or name in NUMBERS or name in DOCUMENTS:
        return f"{column} AS {name}"
    return f"{neutral_sql(column)} AS {name}"


def _csv(*, safe: bool) -> Form:
    return Form(
        header=",".join(EXPORT_COLUMNS).encode() + b"\r\n",
        columns=", ".join(_cell(name, column, safe=safe) for name, column in EXPORTED.items()),
        as_json=False,
        line_end=b"\r\n",
    )


#: For people and their spreadsheets: no text is a formula. Lines end as RFC 4180 wants.
CSV = _csv(safe=True)
#: For programs that read every text as it was stored.
PLAIN_CSV = _csv(safe=False)
#: One JSON object a line; what is JSON in the database stays so, and numbers keep their digits.
NDJSON = Form(
    header=b"",
    columns=", ".join(f"{column} AS {name}" for name, column in EXPORTED.items()),
    as_json=True,
    line_end=b"\n",
)
FORMS = {"csv": CSV, "ndjson": NDJSON}


def read_chunks(
    engine: Engine,
    wanted: EventFilter,
    *,
    form: Form,
    after: str | None = None,
    limit: int | None = None,
) -> Iterator[Chunk]:
    """Give the wanted events chunk by chunk, from the first whose id lies after `after`.

    Partition by partition: a statement over one of them is planned in no time. Raises
    ExportInterruptedError when a purge has dropped one that was there at the beginning.
    """
    position = (after or _BEFORE_IDS).lower()
    for table, end in _list_partitions(engine, wanted):
        while position < end and (limit is None or limit > 0):
            rows = CHUNK_ROWS if limit is None else min(CHUNK_ROWS, limit)
            with engine.connect() as connection:
                chunk = _read_chunk(connection, table, wanted, form, after=position, rows=rows)
            if chunk is None:
                break
            yield chunk
            position = chunk.last_id
            if limit is not None:
                limit -= chunk.rows


def _list_partitions(engine: Engine, wanted: EventFilter) -> list[tuple[str, str]]:
    """List the partitions that may hold wanted events, in the order of ids: name and end."""
    with Session(engine) as session:
        days = sorted(read_partition_days(session))
    low, high = wanted.id_bounds(today=_LAST_DAY)
    dated = [
        (partition_name(day), end)
        for day in days
        if first_id_of(day) < high and low < (end := first_id_of(day + timedelta(days=1)))
    ]
    return [("events_undated", UNDATED_END), *dated]


def _read_chunk(
    connection: Connection, table: str, wanted: EventFilter, form: Form, *, after: str, rows: int
) -> Chunk | None:
    """Read up to `rows` lines from a partition; None when there are none left."""
    condition, values = wanted.to_sql()
    selection = (
        f"FROM {table} WHERE event_id > CAST(:export_after AS uuid) AND {condition} "
        f"ORDER BY event_id LIMIT {rows}"
    )
    # COPY takes no parameters: the driver quotes them and puts them in, in its own notation.
    statement = form.to_sql(str(text(selection).compile(dialect=connection.dialect)))
    driver: Any = connection.connection.driver_connection
    pieces: list[bytes] = []
    count = size = 0
    last = b""
    try:
        with driver.cursor().copy(statement, {**values, "export_after": after}) as copy:
            while messages := list(islice(copy, PIECE_ROWS)):
                if not (lines := form.read_lines(messages)):
                    continue
                pieces.append(form.line_end.join([*lines, b""]))
                last = lines[-1]
                count += len(lines)
                size += len(pieces[-1])
                if size > CHUNK_BYTES:
                    break
    except UndefinedTable:
        raise ExportInterruptedError(
            f"the partition {table} was purged while it was to be exported: begin again"
        ) from None
    if not count:
        return None
    id_end = form.id_at + _ID_CHARACTERS
    return Chunk(pieces=pieces, rows=count, last_id=bytes(last[form.id_at : id_end]).decode())
