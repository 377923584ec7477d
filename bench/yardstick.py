"""The yardstick: a raw COPY of the same rows into a plain table with the usual indices."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import msgspec
import psycopg
from msgspec import Raw

from intake.moment import format_ms
from intake.request import read_request
from intake.rows import Row, Rules, Sender
from models.events import BATCH_COLUMNS, ROW_COLUMNS

TABLE = "bench_reference"
INDICES = (
    ("occurred_at",),
    ("event_type", "occurred_at"),
    ("user_id", "occurred_at"),
    ("product_id", "occurred_at"),
    ("anonymous_id",),
    ("session_id",),
)
_COLUMNS = {**ROW_COLUMNS, **BATCH_COLUMNS}
_CHUNK_BYTES = 262_144
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Yardstick:
    """A connection with the reference table; making it drops what an earlier run left."""

    def __init__(self, database_url: str) -> None:
        self.connection = psycopg.connect(
            database_url, autocommit=True, application_name="millrace bench"
        )
        self.pid = self.connection.info.backend_pid
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        self._run(f"DROP TABLE IF EXISTS {TABLE}")
        self._run(f"CREATE TABLE {TABLE} ({columns}, UNIQUE (event_id))")
        for names in INDICES:
            self._run(f"CREATE INDEX ON {TABLE} ({', '.join(names)})")

    def copy(self, lines: bytes) -> float:
        """Copy encoded rows in one transaction; give the seconds until it is committed."""
        began_s = time.monotonic()
        with self.connection.cursor() as cursor, cursor.copy(f"COPY {TABLE} FROM STDIN") as copy:
            for start in range(0, len(lines), _CHUNK_BYTES):
                copy.write(lines[start : start + _CHUNK_BYTES])
        return time.monotonic() - began_s

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        found = self.connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert found is not None
        return int(found[0])

    def close(self) -> None:
        """Close the connection; the next run drops the table."""
        self.connection.close()

    def _run(self, statement: str) -> None:
        self.connection.execute(statement.encode())


def encode_rows(bodies: Sequence[bytes], *, sender: Sender, rules: Rules) -> bytes:
    """Write the rows that the door would make of these bodies as COPY's text."""
    shared = {
        "received_at": format_ms(sender.received_ms),
        "sent_at": None if sender.sent_ms is None else format_ms(sender.sent_ms),
        "key_id": sender.key_id,
        "ip_address": sender.ip_address,
        "user_agent": sender.user_agent,
    }
    rows = (row for body in bodies for row in read_request(body, sender=sender, rules=rules).rows)
    return "".join(_lines(rows, shared)).encode()


def _lines(rows: Iterable[Row], shared: dict[str, str | None]) -> Iterable[str]:
    for row in rows:
        values = [_text(getattr(row, name)) for name in ROW_COLUMNS]
        values += [_text(shared[name]) for name in BATCH_COLUMNS]
        yield "\t".join(values) + "\n"


def _text(value: object) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str | int | float):
        return str(value).translate(_ESCAPES)
    json = bytes(value) if isinstance(value, Raw) else msgspec.json.encode(value)
    return json.decode().translate(_ESCAPES)
