"""`./millrace import events`: bring a history from files."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import IO, Self, cast

import click

from app.visitor import anonymise_address
from cli.installation import installation
from cli.progress import progress_bar
from cli.words import counted
from datasets.dataset import DatasetError
from datasets.event_files import read_csv, read_ndjson, unpacked
from datasets.event_mapping import EventMapping, read_event_mapping
from intake.deny import DenyList
from intake.rows import RETENTION_MARGIN_DAYS, Rules, Sender
from settings import Settings
from tasks.import_events import BATCH, Importer, Names, Policy, Rejection, Report

SHOWN = 20
_NDJSON = (".ndjson", ".jsonl", ".json")
_CSV = (".csv", ".tsv", ".txt")
MAX_NAME = 100
#: What a row says beyond what a client sends: an export has names for each column, and times.
ROW_BYTES = 4096


@click.command(
    epilog="Example: ./millrace import events old.csv.gz --map buyer=user_id --map at=occurred_at"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="THEIRS=OURS",
    help="Take a column or key as this field. May be given several times.",
)
@click.option(
    "--mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file that says how columns become fields (docs/data-sets.md).",
)  # fmt: skip
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "ndjson"]),
    help="What the files are; without it, their names tell.",
)
@click.option(
    "--name", help="Of the source, for the ids of rows that have none; without it, the file's name."
)
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path),
    help="Write every rejected row there, as NDJSON.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Judge the rows, store nothing.")
def events(
    files: tuple[str, ...],
    pairs: tuple[str, ...],
    mapping: Path | None,
    format_: str | None,
    name: str | None,
    report: Path | None,
    dry_run: bool,
) -> None:
    """Store the events of CSV or NDJSON files, which gzip may have packed; - is standard input.

    The same file again stores nothing twice, also after an import that was cut off.
    """
    try:
        chosen = (read_event_mapping(mapping) if mapping else EventMapping()).with_pairs(pairs)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    names = Names(name[:MAX_NAME]) if name else None
    with installation() as (settings, engine), _Rejections(report) as rejections:
        policy, totals = _policy(settings), Report()
        try:
            for file in files:
                importer = Importer(
                    engine=engine,
                    policy=policy,
                    mapping=chosen,
                    names=names or Names(_source_of(file)),
                    reject=partial(rejections.add, file),
                    dry_run=dry_run,
                    report=totals,
                )
                _import(importer, file, format_ or _format_of(file))
        finally:
            # Also of an import that broke off: what is stored is stored.
            _print_report(totals, rejections, policy.rules, dry_run=dry_run)
    if totals.rejected and not (totals.stored.stored or totals.stored.duplicate):
        raise click.ClickException("no row could be imported")


class _Rejections:
    """The rejected rows: the first ones for the screen, all of them for a file."""

    def __init__(self, path: Path | None) -> None:
        self.first: list[str] = []
        self._path = path
        self._stack = contextlib.ExitStack()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._file = self._stack.enter_context(self._path.open("wb")) if self._path else None
        except OSError as error:
            raise click.ClickException(
                f"{self._path} cannot be written: {error.strerror}"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, file: str, rejection: Rejection) -> None:
        """Keep a rejection."""
        if len(self.first) < SHOWN:
            self.first.append(f"{file}:{rejection.line}: {rejection.reason}: {rejection.detail}")
        if self._file is not None:
            # A row may hold bytes that are no text.
            line = json.dumps({"file": file, **asdict(rejection)})
            self._file.write(line.encode() + b"\n")


def _import(importer: Importer, file: str, format_: str) -> None:
    try:
        unit = "rows" if file == "-" else "bytes"
        with _opened(file) as (opened, size), progress_bar("importing", size, unit=unit) as bar:
            content = unpacked(opened)
            if format_ == "csv":
                mapping = importer.mapping
                delimiter = "\t" if ".tsv" in Path(file).suffixes else mapping.delimiter
                records = read_csv(
                    content,
                    encoding=mapping.encoding,
                    delimiter=delimiter,
                    needed=mapping.needed(),
                )
            else:
                records = read_ndjson(content)
            while part := list(islice(records, BATCH)):
                importer.take(part, from_text=format_ == "csv")
                bar.set(importer.report.read if size is None else opened.tell())
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror or error}") from error
    except DatasetError as error:
        raise click.ClickException(f"{file}: {error}") from error


@contextlib.contextmanager
def _opened(file: str) -> Iterator[tuple[BufferedReader, int | None]]:
    """Open a file, and say how long it is, when that can be known."""
    if file == "-":
        yield cast(BufferedReader, sys.stdin.buffer), None
        return
    with Path(file).open("rb") as opened:
        yield opened, Path(file).stat().st_size


def _policy(settings: Settings) -> Policy:
    rules = Rules(
        max_event_bytes=settings.max_event_bytes + ROW_BYTES,
        max_batch_events=BATCH,
        retention_days=settings.open_days,
        strict_types=settings.strict_types,
        deny_list=DenyList.parse(settings.property_deny_list),
    )
    # The salt of the day on which an address was seen is forgotten.
    mode = "off" if settings.ip_mode == "hashed" else settings.ip_mode
    return Policy(
        rules=rules,
        sender=Sender(received_ms=int(datetime.now(UTC).timestamp() * 1000)),
        zone=settings.report_timezone,
        secret_key=settings.secret_key,
        keep_address=partial(anonymise_address, mode=mode),
    )


def _print_report(totals: Report, rejections: _Rejections, rules: Rules, *, dry_run: bool) -> None:
    stored, rejected = totals.stored, totals.rejected
    word = "would store" if dry_run else "stored"
    print(
        f"read {counted(totals.read, 'row')}: {word} {stored.stored:,}, "
        f"duplicate {stored.duplicate:,}, rejected {rejected.total():,}"
    )
    notes = {
        "with the id of another event": stored.conflicting,
        "of people who have opted out or were erased": stored.refused,
        "kept as dead letters, most likely of days that a purge has sealed": stored.dead,
    }
    for note, count in notes.items():
        if count:
            print(f"  {count:,} {note}")
    for reason, count in rejected.most_common():
        print(f"  rejected {reason}: {count:,}")
    for line in rejections.first:
        print(f"    {line}")
    if rejected["too_old"]:
        oldest = rules.retention_days - RETENTION_MARGIN_DAYS
        print(
            f"  too_old: older than {oldest} days. To bring such events, raise "
            "ANALYTICS_RETENTION_DAYS (and RETENTION_BY_TYPE) and import the file again"
        )


def _source_of(file: str) -> str:
    return Path(file).name.removesuffix(".gz")[:MAX_NAME]


def _format_of(file: str) -> str:
    suffix = Path(file.removesuffix(".gz")).suffix.lower()
    if suffix in _NDJSON:
        return "ndjson"
    if suffix in _CSV:
        return "csv"
    raise click.UsageError(f"the name {file!r} does not say what it holds: give --format")
