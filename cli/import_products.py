"""`./millrace import products`: put a file of products into the catalogue."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedReader, RawIOBase
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine

from cli.installation import installation
from cli.words import counted
from intake.product_files import FORMATS, Entry, Format, read_products
from intake.text_lines import FileError
from models.database import transaction
from models.products import upsert_products

CHUNK = 1000
#: Rejected products that are shown; the others are counted.
SHOWN = 20
_SUFFIXES = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json"}
_GZIP = b"\x1f\x8b"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(slots=True)
class Report:
    """Count what became of the products of a file."""

    read: int = 0
    created: int = 0
    updated: int = 0
    rejected: int = 0
    shown: list[Entry] = field(default_factory=list)

    def note(self, entries: list[Entry]) -> None:
        """Count products that were read, and keep the first of those that were rejected."""
        bad = [entry for entry in entries if entry.errors is not None]
        self.read += len(entries)
        self.rejected += len(bad)
        self.shown += bad[: SHOWN - len(self.shown)]


@click.command(epilog="Example: ./millrace import products shop.csv.gz --map 'sku=product_id'")
@click.argument(
    "path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="What the file is; without it, its name tells.",
)
@click.option("--dry-run", is_flag=True, help="Check the file, change nothing.")
@click.option(
    "--map",
    "renames",
    multiple=True,
    metavar="THEIRS=OURS",
    help="Rename a column or key; 'THEIRS=' leaves it out. May be given several times.",
)
@click.option("--skip-invalid", is_flag=True, help="Exit with 0 even if products were rejected.")
def products(
    path: Path, format_: str | None, dry_run: bool, renames: tuple[str, ...], skip_invalid: bool
) -> None:
    """Put the products of a CSV, NDJSON or JSON file into the catalogue.

    The file may be packed with gzip. Each product is inserted, or replaces the one with its id;
    columns of CSV that are no field of a product become attributes. Importing a file again changes
    nothing.
    """
    chosen = cast(Format, format_ or _format_of(path))
    names = dict(_read_rename(rename) for rename in renames)
    report = Report()
    with installation() as (_, engine):
        try:
            with _open(path) as stream:
                entries = read_products(stream, chosen, names=names)
                while chunk := list(islice(entries, CHUNK)):
                    report.note(chunk)
                    if not dry_run:
                        _store(engine, chunk, report)
        except (FileError, OSError, EOFError, zlib.error) as error:
            _print(report, dry_run=dry_run)
            raise click.ClickException(f"{path.name} cannot be read on: {error}") from error
    _print(report, dry_run=dry_run)
    sys.exit(1 if report.rejected and not skip_invalid else 0)


def _store(engine: Engine, entries: list[Entry], report: Report) -> None:
    accepted = [entry.product for entry in entries if entry.product is not None]
    with transaction(engine) as session:
        created, updated = upsert_products(session, accepted, now=datetime.now(UTC))
    report.created += created
    report.updated += updated


def _format_of(path: Path) -> str:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in _SUFFIXES:
        raise click.UsageError(
            f"{path.name} does not say what it is: give --format {'|'.join(FORMATS)}"
        )
    return _SUFFIXES[suffix]


def _read_rename(text: str) -> tuple[str, str]:
    theirs, sign, ours = text.partition("=")
    if not sign or not theirs.strip():
        raise click.BadParameter(f"{text!r} is not THEIRS=OURS", param_hint="--map")
    return theirs.strip(), ours.strip()


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpack it if it is packed, and show how far it is read."""
    columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as bar,
        bar.open(path, "rb") as raw,
        BufferedReader(cast(RawIOBase, raw), 1 << 16) as file,
    ):
        if file.peek(len(_GZIP)).startswith(_GZIP):
            with gzip.open(file) as unpacked:
                yield cast(BinaryIO, unpacked)
        else:
            yield file


def _print(report: Report, *, dry_run: bool) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for entry in report.shown:
        place = f"line {entry.line}" if entry.line is not None else f"product {entry.index + 1}"
        console.print(f"{place}: {_say(entry)}")
    if report.rejected > len(report.shown):
        console.print(f"… and {report.rejected - len(report.shown):,} more")
    good = report.read - report.rejected
    if dry_run:
        console.print(f"would take {counted(good, 'product')}, reject {report.rejected:,}")
        return
    console.print(
        f"{counted(report.created, 'product')} created, {report.updated:,} updated, "
        f"{report.rejected:,} rejected"
    )


def _say(entry: Entry) -> str:
    """Write the errors of a product in one line."""
    said = []
    for name, texts in (entry.errors or {}).items():
        text = " ".join(map(str, texts)) if isinstance(texts, list) else str(texts)
        said.append(text if name == "_schema" else f"{name}: {text}")
    return "; ".join(said)
