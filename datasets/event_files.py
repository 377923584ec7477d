"""Read files of events row by row: CSV, NDJSON, and either of them packed with gzip."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import IO, Any

import orjson

from datasets.dataset import DatasetError

#: The longest cell or line that is read.
MAX_TEXT = 16 * 1024 * 1024
_GZIP = b"\x1f\x8b"
#: How a file of UTF-16 begins when it is read as UTF-8.
_UTF_16 = ("\udcff\udcfe", "\udcfe\udcff")
#: What is used instead of the comma.
_DELIMITERS = (";", "\t", "|")
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


def read_csv(
    file: IO[bytes], *, encoding: str, delimiter: str, needed: Collection[str] = ()
) -> Iterator[Record]:
    """Give the rows of a CSV file with a line of names; empty cells are left out.

    `needed` are names that it must have. Raises DatasetError.
    """
    try:
        name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    except LookupError:
        raise DatasetError(f"encoding {encoding!r} is not known") from None
    # A byte that is no text hurts its own row only.
    text = io.TextIOWrapper(file, encoding=name, errors="surrogateescape", newline="")
    csv.field_size_limit(MAX_TEXT)
    try:
        yield from _rows(csv.reader(text, delimiter=delimiter), needed)
    finally:
        # The file is its opener's to close, who may have done it before all was read.
        if not text.closed:
            text.detach()


def _rows(rows: Any, needed: Collection[str]) -> Iterator[Record]:
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
            names = _check_header(cells, needed)
        elif cells:
            yield _record(line, names, cells)


def _record(line: int, names: list[str], cells: list[str]) -> Record:
    text = "\x1f".join(cells).encode(errors="surrogateescape")
    if len(cells) != len(names):
        return Record(line, text, fault=f"the row has {len(cells)} cells of {len(names)}")
    fields = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    return Record(line, text, fields, exported=tuple(names[: len(EXPORT_BEGINS)]) == EXPORT_BEGINS)


def _check_header(cells: list[str], needed: Collection[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if names and names[0].startswith(_UTF_16):
        raise DatasetError("it is UTF-16: save it as UTF-8, or name its encoding in a mapping file")
    other = next((mark for mark in _DELIMITERS if len(names) == 1 and mark in names[0]), None)
    if other is not None:
        raise DatasetError(
            f"its columns are parted by {other!r}: name this delimiter in a mapping file"
        )
    if len(set(names)) != len(names) or "" in names:
        raise DatasetError("the first line must name each column, and each name once")
    if missing := sorted(set(needed) - set(names)):
        raise DatasetError(f"it has no column {missing[0]!r}; its columns are: {', '.join(names)}")
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
