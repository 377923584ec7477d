"""The files of an import: which there are, what they hold, and their rows."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

import click
import orjson

from datasets.dataset import DatasetError
from datasets.event_files import Record, read_csv, read_ndjson, unpacked
from datasets.event_mapping import EventMapping
from datasets.histories.history import History

STDIN = "-"
FORMATS = ("csv", "ndjson", "parquet")
#: What Python 3.11 cannot unpack.
_UNREAD = (".zst", ".zstd", ".br", ".lz4", ".snappy", ".zip", ".tar", ".tgz")
#: Rows of a Parquet file that are in memory at once.
_ROWS = 2000
_SUFFIXES = {
    "csv": (".csv", ".tsv", ".txt"),
    "ndjson": (".ndjson", ".jsonl", ".json"),
    "parquet": (".parquet", ".parquet.zst", ".parquet.gz", ".parquet.snappy", ".parquet.br"),
}


def find_files(named: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Give the files that were named, and of a directory those in it and below, in order.

    With each comes its name for the ids of its rows: two files of a directory may be called alike.
    """
    for name in named:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            yield name, path.name
            continue
        found = [file for file in sorted(path.rglob("*")) if file.is_file()]
        found = [file for file in found if not _is_about_others(file.name)]
        if not found:
            raise click.ClickException(f"{name} holds no files")
        for file in found:
            yield str(file), file.relative_to(path).as_posix()


def format_of(file: str, *, default: str | None = None) -> str:
    """Tell by its name what a file holds. Raises UsageError when that says nothing."""
    name = Path(file).name.lower()
    if name.endswith(_UNREAD) and ".parquet" not in name:
        raise click.UsageError(f"{file} is packed with something other than gzip: unpack it first")
    for format_, suffixes in _SUFFIXES.items():
        # Parquet packs its own parts, and says so in the name all the same.
        if name.endswith(suffixes if format_ == "parquet" else _with_gzip(suffixes)):
            return format_
    if default is None:
        raise click.UsageError(f"the name {file!r} does not say what it holds: give --format")
    return default


def table_of(file: str) -> str:
    """Give the name of a file without all that follows a point: that of the table it was."""
    return Path(file).name.partition(".")[0].lower()


@contextlib.contextmanager
def opened(file: str) -> Iterator[tuple[BufferedReader, int | None]]:
    """Open a file, and say how long it is, when that can be known."""
    if file == STDIN:
        yield cast(BufferedReader, sys.stdin.buffer), None
        return
    with Path(file).open("rb") as found:
        yield found, Path(file).stat().st_size


def read_records(
    content: BufferedReader, file: str, *, format_: str, mapping: EventMapping | History
) -> Iterator[Record]:
    """Give the rows of an open file. Raises DatasetError."""
    if format_ == "parquet":
        return _read_parquet(content)
    if format_ == "ndjson":
        return read_ndjson(unpacked(content))
    return read_csv(
        unpacked(content),
        encoding=mapping.encoding,
        delimiter="\t" if ".tsv" in Path(file).suffixes else mapping.delimiter,
        needed=mapping.needed(),
    )


def _read_parquet(content: BufferedReader) -> Iterator[Record]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise click.ClickException(
            "Parquet needs pyarrow, which Millrace does not bring: "
            "`python3 -m pip --python .venv/bin/python install pyarrow` installs it"
        ) from None
    # The library's errors are of classes of its own, which are all of these.
    try:
        line = 0
        for batch in parquet.ParquetFile(content).iter_batches(batch_size=_ROWS):
            for row in batch.to_pylist():
                line += 1
                yield _parquet_record(line, row)
    except (OSError, ValueError) as error:
        raise DatasetError(f"it is no Parquet file, or a damaged one: {error}") from None


def _parquet_record(line: int, row: dict[str, Any]) -> Record:
    try:
        text = orjson.dumps(row, default=str)
    except orjson.JSONEncodeError as error:
        return Record(line, b"", fault=f"the row cannot be written as JSON: {error}")
    return Record(line, text, orjson.loads(text))


def _is_about_others(name: str) -> bool:
    """Tell a file that exports put beside their data: marks of the end, lists of the files."""
    return name.startswith((".", "_")) or name.endswith("manifest.json")


def _with_gzip(suffixes: tuple[str, ...]) -> tuple[str, ...]:
    return (*suffixes, *(f"{suffix}.gz" for suffix in suffixes))
