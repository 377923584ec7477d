"""Read files of events row by row: CSV, NDJSON, and either of them packed with gzip."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import orjson

from datasets.dataset import DatasetError

#: The longest cell or line that is read.
MAX_TEXT = 16 * 1024 * 1024
_GZIP = b"\x1f\x8b"
#: What an export of Millrace begins with.
EXPORT_BEGINS = (
    "id", "created_at", "event_type", "user_id", "anonymous_id", "source", "ip_address", "payload",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a file: where it begins, its text, and its fields or why it has none.

    `exported` says that Millrace wrote it.
    """

    line: int
    text: bytes
    fields: dict[str, Any] | None = None
    fault: str = ""
    exported: bool = False


def unpacked(file: IO[bytes]) -> IO[bytes]:
    """Give the content of a file that may be packed with gzip."""
    buffered = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
    peeked = buffered.peek(2)[:2] if isinstance(buffered, io.BufferedReader) else b""
    if peeked != _GZIP:
        return buffered
    return io.BufferedReader(gzip.GzipFile(fileobj=buffered))


def read_ndjson(file: IO[bytes]) -> Iterator[Record]:
    """Give the objects of a file that has one a line. Raises DatasetError."""
    for line, text in enumerate(_lines(file), start=1):
        stripped = text.removeprefix(codecs.BOM_UTF8).strip() if line == 1 else text.strip()
        if not stripped:
            continue
        try:
            fields = orjson.loads(stripped)
        except orjson.JSONDecodeError as error:
            yield Record(line, stripped, fault=f"the line is not JSON: {error}")
            continue
        if isinstance(fields, dict):
            yield Record(line, stripped, fields, exported=set(EXPORT_BEGINS) <= set(fields))
        else:
            yield Record(line, stripped, fault="the line is no JSON object")


def read_csv(file: IO[bytes], *, encoding: str, delimiter: str) -> Iterator[Record]:
    """Give the rows of a CSV file with a line of names; empty cells are left out.

    Raises DatasetError.
    """
    try:
        name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    except LookupError:
        raise DatasetError(f"encoding {encoding!r} is not known") from None
    # A byte that is no text hurts its own row only.
    text = io.TextIOWrapper(file, encoding=name, errors="surrogateescape", newline="")
    csv.field_size_limit(MAX_TEXT)
    try:
        yield from _rows(csv.reader(text, delimiter=delimiter))
    finally:
        # The file is its opener's to close.
        text.detach()


def _rows(rows: Any) -> Iterator[Record]:
    names: list[str] | None = None
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows, None)
        except (OSError, EOFError, zlib.error) as error:
            raise DatasetError(f"the file is damaged behind line {line}: {error}") from None
        except csv.Error as error:
            yield Record(line, b"", fault=f"the row is not CSV: {error}")
            continue
        if cells is None:
            return
        if names is None:
            names = _check_header(cells)
        elif cells:
            yield _record(line, names, cells)


def _record(line: int, names: list[str], cells: list[str]) -> Record:
    text = "\x1f".join(cells).encode(errors="surrogateescape")
    if len(cells) != len(names):
        return Record(line, text, fault=f"the row has {len(cells)} cells of {len(names)}")
    fields = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    return Record(line, text, fields, exported=tuple(names[: len(EXPORT_BEGINS)]) == EXPORT_BEGINS)


def _check_header(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(set(names)) != len(names) or "" in names:
        raise DatasetError("the first line must name each column, and each name once")
    return names


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        try:
            line = file.readline(MAX_TEXT)
        except (OSError, EOFError, zlib.error) as error:
            raise DatasetError(f"the file is damaged behind line {number}: {error}") from None
        if not line:
            return
        if len(line) == MAX_TEXT:
            raise DatasetError(f"line {number} is longer than {MAX_TEXT:,} bytes")
        yield line
