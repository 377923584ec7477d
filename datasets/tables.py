"""Read CSV and NDJSON files, gzip'd or not, as frames of text."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from datasets.dataset import DatasetError, MappingError

NO_NUMBER = ("", "nan", "null", "none", "n/a", "-")
"""What tools write, in any case, where a number is missing."""
JSON_ENDINGS = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")
JSON_LINES_SEEN = 1000
"""The keys of a JSON file are those of its first lines."""


def find_files(directory: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Give the files that the patterns name, in the order of their names; none missing."""
    found = []
    for pattern in patterns:
        try:
            files = sorted(path for path in directory.glob(pattern) if path.is_file())
        except (NotImplementedError, ValueError) as error:
            raise MappingError(
                f"files: {pattern!r} is no pattern of file names: {error}"
            ) from error
        if not files:
            present = ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"
            raise MappingError(f"{directory} has no file {pattern!r}; it has: {present}")
        found += files
    return list(dict.fromkeys(found))


def read_header(path: Path, *, encoding: str = "utf-8", delimiter: str = ",") -> list[str]:
    """Read the column names only."""
    with explained(path):
        if path.name.endswith(JSON_ENDINGS):
            names: dict[str, None] = {}
            with open_text(path, encoding) as lines:
                for _, record in zip(range(JSON_LINES_SEEN), read_records(lines), strict=False):
                    names |= dict.fromkeys(record)
            return list(names)
        frame = pd.read_csv(path, nrows=0, encoding=encoding, sep=delimiter, skipinitialspace=True)
        return [str(name) for name in frame.columns]


def check_columns(path: Path, header: list[str], needed: Mapping[str, str]) -> None:
    """Raise an error that names the file, the column, its use, and the columns there are."""
    for column, use in needed.items():
        if column not in header:
            raise MappingError(
                f"{path.name} has no column {column!r} (needed for {use}); "
                f"its columns are: {', '.join(header)}"
            )


def read_frame(
    path: Path, columns: list[str], *, encoding: str = "utf-8", delimiter: str = ","
) -> pd.DataFrame:
    """Read the columns as text without spaces around it; what is absent is ''."""
    with explained(path):
        if path.name.endswith(JSON_ENDINGS):
            with open_text(path, encoding) as lines:
                rows = [
                    [record.get(name, "") for name in columns] for record in read_records(lines)
                ]
            frame = pd.DataFrame(rows, columns=columns, dtype=object)
            return frame.apply(trimmed)
        frame = pd.read_csv(
            path, usecols=columns, index_col=False, dtype=object, keep_default_na=False,
            encoding=encoding, sep=delimiter, skipinitialspace=True,
        )  # fmt: skip
        return frame[columns].apply(trimmed)


def trimmed(column: pd.Series) -> pd.Series:
    """Strip each different text once, so that equal cells share one object."""
    codes, names = pd.factorize(column)
    texts = np.array([*(name.strip() for name in names), ""], dtype=object)
    return pd.Series(texts[codes], index=column.index, dtype=object)


def open_text(path: Path, encoding: str) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding)
    return path.open(encoding=encoding)


def read_records(lines: IO[str]) -> Iterator[dict[str, str]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError(f"line {number} is not a JSON object")
        yield dict(flat_items(record))


def flat_items(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Name nested values with dots; lists of plain values are joined by spaces."""
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from flat_items(value, f"{name}.")
        elif isinstance(value, list):
            yield name, " ".join(map(str, value))
        else:
            yield name, "" if value is None else str(value)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what a damaged file raises into a DatasetError that names the file."""
    try:
        yield
    except DatasetError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DatasetError(f"{path.name} cannot be read: {error}") from error
