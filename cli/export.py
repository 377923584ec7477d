"""`./millrace export`: the events as a file."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import click
from sqlalchemy.exc import DBAPIError

from cli.installation import installation
from cli.output import open_output, output_option
from cli.parquet import ParquetFile
from cli.progress import progress_bar
from cli.words import counted
from intake.rows import resolve_type
from models.event_list import EventFilter
from models.export import FORMS, Chunk, ExportInterruptedError, read_chunks

_DAY = click.DateTime(formats=["%Y-%m-%d"])
_MOMENT = click.DateTime(formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"])
#: The fastest level: exports are read once, and the database writes faster than any other packs.
_GZIP_LEVEL = 1

_FILTERS = (
    click.option("--user-id", help="Events of this user."),
    click.option("--anonymous-id", help="Events of this anonymous id."),
    click.option("--session-id", help="Events of this session."),
    click.option("--product-id", help="Events with this product."),
    click.option(
        "--event-type",
        "event_types",
        multiple=True,
        help="Events of this type. May be given several times.",
    ),
    click.option("--event-category", help="Events of this category."),
    click.option("--entity-type", help="Events about this kind of thing."),
    click.option("--entity-id", help="Events about the thing with this id; with --entity-type."),
    click.option("--excluded", help="Events excluded for this reason; none or any, as it says."),
    click.option("--date", type=_DAY, help="One day of REPORT_TIMEZONE."),
    click.option("--date-from", type=_DAY, help="First day."),
    click.option("--date-to", type=_DAY, help="The day after the last."),
    click.option("--since", type=_MOMENT, help="Events from then on, in UTC."),
    click.option("--until", type=_MOMENT, help="Events before then, in UTC."),
)


def _filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.command(
    epilog="Example: ./millrace export --format ndjson --date-from 2026-01-01 --gzip -o 2026.gz"
)
@click.option(
    "--format", "format_", type=click.Choice(["csv", "ndjson", "parquet"]), default="csv",
    show_default=True, help="What to write.",
)  # fmt: skip
@output_option
@click.option("--gzip", "packed", is_flag=True, help="Pack CSV or NDJSON.")
@_filter_options
@click.option("--cursor", type=click.UUID, help="Go on behind the event with this id.")
@click.option("--limit", type=click.IntRange(1), help="At most so many events; all without it.")
def export(
    format_: str,
    output: Path | None,
    packed: bool,
    cursor: UUID | None,
    limit: int | None,
    **filters: Any,
) -> None:
    """Write events to a file, in the order of their ids.

    With --cursor CSV gets no line of names, so that the files can be joined.
    """
    if format_ == "parquet" and packed:
        raise click.UsageError("Parquet is packed in itself: leave out --gzip")
    with installation() as (settings, engine), open_output(output) as file:
        writer = _open_writer(file, format_, packed=packed, named=cursor is None)
        chunks = read_chunks(
            engine,
            _read_filter(filters, settings.zone),
            form=ParquetFile.form if format_ == "parquet" else FORMS[format_],
            after=None if cursor is None else str(cursor),
            limit=limit,
        )
        with writer as write:
            _write(chunks, write, limit)


def _write(chunks: Iterator[Chunk], write: Callable[[Chunk], None], limit: int | None) -> None:
    """Write the chunks, and say at the end, also at an early one, where to go on."""
    count, last_id = 0, None
    try:
        with progress_bar("exporting", limit) as bar:
            for chunk in chunks:
                write(chunk)
                count, last_id = count + chunk.rows, chunk.last_id
                bar.advance(chunk.rows)
    except (ExportInterruptedError, DBAPIError) as error:
        raise click.ClickException(f"the export is not complete: {error}") from error
    finally:
        click.echo(f"exported {counted(count, 'event')}", err=True)
        if last_id is not None:
            click.echo(f"the last id is {last_id}: --cursor {last_id} goes on behind it", err=True)


@contextlib.contextmanager
def _open_writer(
    file: IO[bytes], format_: str, *, packed: bool, named: bool
) -> Iterator[Callable[[Chunk], None]]:
    """Give the function that writes a chunk."""
    if format_ == "parquet":
        with ParquetFile(file) as parquet:
            yield parquet.write
        return
    packer = gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) if packed else None
    target = packer or file
    with packer or contextlib.nullcontext():
        if named:
            target.write(FORMS[format_].header)
        yield lambda chunk: target.writelines(chunk.pieces)


def _read_filter(filters: dict[str, Any], zone: ZoneInfo) -> EventFilter:
    times = {name: filters.pop(name) for name in ("date", "date_from", "date_to", "since", "until")}
    ways = [("since", "until"), ("date_from", "date_to"), ("date",)]
    given = [way for way in ways if any(times[name] for name in way)]
    if len(given) > 1:
        raise click.UsageError(
            "give --date, or --date-from and --date-to, or --since and --until, not two of these"
        )
    if filters["entity_id"] and not filters["entity_type"]:
        raise click.UsageError("--entity-id means nothing without --entity-type")
    if times["date"]:
        times |= {"date_from": times["date"], "date_to": times["date"] + timedelta(days=1)}
    types = tuple(resolve_type(name)[0] for name in filters.pop("event_types"))
    return EventFilter(
        **filters,
        event_types=types,
        since=_in(zone, times["date_from"]) or _in(UTC, times["since"]),
        until=_in(zone, times["date_to"]) or _in(UTC, times["until"]),
    )


def _in(zone: Any, moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=zone)
