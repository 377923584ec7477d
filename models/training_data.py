"""Training data: the products and interactions that training reads, as JSON, NDJSON or CSV.

All parts are read in one snapshot, so that they and their totals agree. It lasts until the last
row is written: write into a file, and let a slow reader have that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import IO, Any, Literal

import orjson
from sqlalchemy import Connection, Engine, text

from models.export import PIECE_ROWS, Form, moment_sql, neutral_sql
from models.interactions import CATALOGUE_SQL, IN_BOUNDS, IN_ORDER, interaction_bounds, lines_sql

Part = Literal["products", "interactions"]
Format = Literal["json", "ndjson", "csv"]
PARTS: tuple[Part, ...] = ("products", "interactions")
FORMATS: tuple[Format, ...] = ("json", "ndjson", "csv")

_LINES = f"({lines_sql(IN_BOUNDS)}) AS interaction"
_SOURCES: dict[Part, str] = {
    "products": f"""FROM (
        SELECT product.*, coalesce(met.interactions, 0) AS interaction_count
        FROM ({CATALOGUE_SQL}) AS product LEFT JOIN (
            SELECT product_id, count(*) AS interactions FROM {_LINES} GROUP BY product_id
        ) AS met USING (product_id)
    ) AS counted ORDER BY product_id""",
    "interactions": f"FROM {_LINES} {IN_ORDER}",
}
COLUMNS: dict[Part, tuple[str, ...]] = {
    "products": (
        "product_id",
        "name",
        "category",
        "price",
        "gender",
        "color",
        "material",
        "size",
        "avg_rating",
        "review_count",
        "interaction_count",
    ),
    "interactions": (
        "user_id",
        "product_id",
        "event_type",
        "weight",
        "value",
        "quantity",
        "bought",
        "session_id",
        "occurred_at",
    ),
}
_TEXTS = {
    *("product_id", "name", "category", "gender", "color", "material", "size"),
    *("user_id", "event_type", "session_id"),
}
_KINDS: dict[Part, str] = {"products": "product", "interactions": "interaction"}


def write_training_data(
    engine: Engine,
    file: IO[bytes],
    *,
    days: int,
    format_: Format,
    parts: Sequence[Part],
    now: datetime,
    advance: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Write the data of the last `days` and give its metadata: totals, days, and when.

    CSV holds one part. The total of a part that is not wanted is None. `advance` is called with
    the number of rows just read.
    """
    reading = _Reading(days, format_, now, advance)
    with _snapshot(engine) as connection:
        for piece in _LAYOUTS[format_](reading, connection, parts):
            file.write(piece)
    return reading.metadata


class _Reading:
    """Read the lines of parts, and count them."""

    def __init__(
        self, days: int, format_: Format, now: datetime, advance: Callable[[int], None] | None
    ) -> None:
        self.bounds = interaction_bounds(now - timedelta(days=days), now)
        self.format = format_
        self.advance = advance
        self.metadata: dict[str, Any] = {
            "total_products": None,
            "total_interactions": None,
            "date_range_days": days,
            "generated_at": now.isoformat(),
        }

    def read(self, connection: Connection, part: Part) -> Iterator[list[bytes]]:
        """Give the lines of a part, without their ends, some at a time."""
        form = _form(part, self.format)
        # COPY takes no parameters: the driver quotes them and puts them in, in its own notation.
        selection = str(text(_SOURCES[part]).compile(dialect=connection.dialect))
        driver: Any = connection.connection.driver_connection
        total = 0
        with driver.cursor().copy(form.to_sql(selection), self.bounds) as copy:
            while messages := list(islice(copy, PIECE_ROWS)):
                if lines := form.read_lines(messages):
                    yield lines
                    total += len(lines)
                    if self.advance is not None:
                        self.advance(len(lines))
        self.metadata[f"total_{part}"] = total


def _write_json(
    reading: _Reading, connection: Connection, parts: Sequence[Part]
) -> Iterator[bytes]:
    yield b"{"
    for part in parts:
        yield f'"{part}":['.encode()
        between = b"\n"
        for lines in reading.read(connection, part):
            yield between + b",\n".join(lines)
            between = b",\n"
        yield b"],\n"
    yield b'"metadata":' + orjson.dumps(reading.metadata) + b"}\n"


def _write_ndjson(
    reading: _Reading, connection: Connection, parts: Sequence[Part]
) -> Iterator[bytes]:
    for part in parts:
        for lines in reading.read(connection, part):
            yield b"\n".join([*lines, b""])
    yield orjson.dumps({"kind": "metadata", **reading.metadata}) + b"\n"


def _write_csv(reading: _Reading, connection: Connection, parts: Sequence[Part]) -> Iterator[bytes]:
    (part,) = parts
    yield ",".join(COLUMNS[part]).encode() + b"\r\n"
    for lines in reading.read(connection, part):
        yield b"\r\n".join([*lines, b""])


_LAYOUTS = {"json": _write_json, "ndjson": _write_ndjson, "csv": _write_csv}


def _form(part: Part, format_: Format) -> Form:
    cells = list(COLUMNS[part])
    if format_ == "csv":
        cells = [_csv_cell(name) for name in cells]
    elif format_ == "ndjson":
        cells.insert(0, f"'{_KINDS[part]}' AS kind")
    return Form(b"", ", ".join(cells), as_json=format_ != "csv", line_end=b"")


def _csv_cell(name: str) -> str:
    if name == "occurred_at":
        return f"{moment_sql(name)} AS {name}"
    if name == "bought":
        # Else it would be t or f.
        return f"CAST({name} AS text) AS {name}"
    return f"{neutral_sql(name)} AS {name}" if name in _TEXTS else name


def _snapshot(engine: Engine) -> Connection:
    """Open a connection whose statements all see the database as the first one did."""
    return engine.connect().execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    )
