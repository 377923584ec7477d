"""`./millrace import events`: bring a history from files."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Self

import click

from cli.import_files import (
    FORMATS,
    STDIN,
    find_files,
    format_of,
    opened,
    read_records,
    table_of,
)
from cli.import_policy import make_policy, read_sender
from cli.installation import installation
from cli.progress import progress_bar
from cli.words import counted
from datasets.dataset import DatasetError
from datasets.event_mapping import EventMapping, read_event_mapping
from datasets.histories.history import PRODUCTS, History
from intake.moment import MomentError, format_ms, read_moment_ms
from intake.rows import RETENTION_MARGIN_DAYS, Rules
from tasks.import_events import BATCH, Importer, Names, Rejection, Report

SHOWN = 20
MAX_NAME = 100


@click.command(
    epilog="Examples: ./millrace import events --from segment archive/; ./millrace import events "
    "old.csv.gz --map buyer=user_id --map at=occurred_at"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "--from",
    "product",
    type=click.Choice(PRODUCTS),
    help="The files are an export of this product (docs/moving.md).",
)
@click.option(
    "--key", "key_id", help="The id of the write key that sends from now on, as `keys list` has it."
)
@click.option(
    "--until", help="Leave out what happened then or later, such as 2026-03-01T00:00:00Z."
)
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
    type=click.Choice(FORMATS),
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
    product: str | None,
    key_id: str | None,
    until: str | None,
    pairs: tuple[str, ...],
    mapping: Path | None,
    format_: str | None,
    name: str | None,
    report: Path | None,
    dry_run: bool,
) -> None:
    """Store the events of CSV, NDJSON or Parquet files, or of directories; - is standard input.

    gzip may have packed them. The same file again stores nothing twice, also after an import that
    was cut off.
    """
    if product and (pairs or mapping):
        raise click.UsageError("--from says what the columns are: leave out --map and --mapping")
    try:
        chosen = (read_event_mapping(mapping) if mapping else EventMapping()).with_pairs(pairs)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    until_ms = _read_until(until)
    names = Names(name[:MAX_NAME]) if name and not product else None
    with installation() as (settings, engine), _Rejections(report) as rejections:
        sender = read_sender(engine, key_id)
        policy, totals = make_policy(settings, sender, is_of_sdks=product is not None), Report()
        try:
            for file, called in find_files(files):
                importer = Importer(
                    engine=engine,
                    policy=policy,
                    mapping=History(product, table_of(file)) if product else chosen,
                    names=names or Names(_source_of(called, product, name)),
                    reject=partial(rejections.add, file),
                    dry_run=dry_run,
                    until_ms=until_ms,
                    report=totals,
                )
                default = "ndjson" if product else None
                _import(importer, file, format_ or format_of(file, default=default))
        finally:
            # Also of an import that broke off: what is stored is stored.
            _print_report(totals, rejections, policy.rules, until_ms, dry_run=dry_run)
    known = totals.stored.duplicate + totals.stored.conflicting
    if totals.rejected and not (totals.stored.stored or known):
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
        unit = "rows" if file == STDIN else "bytes"
        with opened(file) as (content, size), progress_bar("importing", size, unit=unit) as bar:
            records = read_records(content, file, format_=format_, mapping=importer.mapping)
            while part := list(islice(records, BATCH)):
                importer.take(part, from_text=format_ == "csv")
                bar.set(importer.report.read if size is None else content.tell())
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror or error}") from error
    except DatasetError as error:
        raise click.ClickException(f"{file}: {error}") from error


def _read_until(text: str | None) -> int | None:
    try:
        return None if text is None else read_moment_ms(text)
    except MomentError as error:
        raise click.BadParameter(str(error), param_hint="--until") from None


def _print_report(
    totals: Report, rejections: _Rejections, rules: Rules, until_ms: int | None, *, dry_run: bool
) -> None:
    stored, rejected = totals.stored, totals.rejected
    word = "would store" if dry_run else "stored"
    print(
        f"read {counted(totals.read, 'row')}: {word} {stored.stored:,}, "
        f"duplicate {stored.duplicate:,}, rejected {rejected.total():,}"
    )
    notes = {
        "stored before with other contents, and left as they were": stored.conflicting,
        "of people who have opted out or were erased": stored.refused,
        "kept as dead letters, most likely of days that a purge has sealed": stored.dead,
    }
    for note, count in notes.items():
        if count:
            print(f"  {count:,} {note}")
    if totals.later and until_ms is not None:
        print(f"  {totals.later:,} left out, of {format_ms(until_ms)} and later")
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


def _source_of(called: str, product: str | None, name: str | None) -> str:
    """Name the source of rows without ids: a product is one, however its export was parted."""
    return (name or product or called.removesuffix(".gz"))[-MAX_NAME:]
