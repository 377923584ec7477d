"""Write an export as Parquet, with pyarrow where somebody has installed it."""

from __future__ import annotations

import importlib
import io
from types import TracebackType
from typing import IO, Any, Self

import click

from models.export import EXPORT_COLUMNS, NUMBERS, PLAIN_CSV, TIMES, Chunk

#: A row group is written once it has this many rows or bytes of text.
GROUP_ROWS = 100_000
GROUP_BYTES = 32 * 1024 * 1024


class ParquetFile:
    """A Parquet file that grows by row groups, so that memory holds one of them."""

    form = PLAIN_CSV

    def __init__(self, file: IO[bytes]) -> None:
        try:
            arrow, csv, parquet = (
                importlib.import_module(name)
                for name in ("pyarrow", "pyarrow.csv", "pyarrow.parquet")
            )
        except ModuleNotFoundError:
            raise click.ClickException(
                "Parquet needs pyarrow, which Millrace does not bring: "
                "`python3 -m pip --python .venv/bin/python install pyarrow` installs it"
            ) from None
        self._csv = csv
        self._schema = _schema(arrow)
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._pieces: list[bytes] = []
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is left and the file's end, without which it cannot be read."""
        self._write_group()
        self._writer.close()

    def write(self, chunk: Chunk) -> None:
        """Add the lines of a chunk."""
        self._pieces += chunk.pieces
        self._rows += chunk.rows
        if self._rows >= GROUP_ROWS or sum(map(len, self._pieces)) >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        if not self._pieces:
            return
        # PostgreSQL quotes the empty text and not NULL, and so they stay apart.
        table = self._csv.read_csv(
            io.BytesIO(b"".join(self._pieces)),
            read_options=self._csv.ReadOptions(column_names=EXPORT_COLUMNS, use_threads=False),
            parse_options=self._csv.ParseOptions(newlines_in_values=True),
            convert_options=self._csv.ConvertOptions(
                column_types=self._schema,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        self._writer.write_table(table)
        self._pieces, self._rows = [], 0


def _schema(arrow: Any) -> Any:
    types = dict.fromkeys(EXPORT_COLUMNS, arrow.string())
    types |= dict.fromkeys(TIMES, arrow.timestamp("us", tz="UTC"))
    types |= dict.fromkeys(NUMBERS, arrow.int32())
    types["value"] = arrow.float64()
    return arrow.schema(types.items())
