"""`./millrace bench seed`, `reports` and `export`: millions of events, and what reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench import export as exporting
from bench import reports as asking
from bench import seed as seeding
from bench.machine import describe_machine
from cli.bench_limits import NO_TEST, print_limits
from cli.bench_options import as_json_option, number_option, seed_option
from cli.installation import installation
from cli.prepare import prepare
from cli.progress import progress_bar
from models.export import FORMS
from tasks.aggregate import aggregate_dirty


@click.command(epilog="Example: ./millrace bench seed --events 5000000 --days 60 --json")
@number_option("events", 5_000_000, click.IntRange(1), "How many to make.")
@number_option("days", 60, click.IntRange(1, 360), "The last days that they lie in.")
@number_option("products", 10_000, click.IntRange(1, 99_999), "How many they are about.")
@number_option("people", 200_000, click.IntRange(1, 999_999), "How many they are of.")
@seed_option("Another one adds other events.")
@click.option("--yes", is_flag=True, help="Add to an installation that has events.")
@as_json_option
def seed(
    events: int, days: int, products: int, people: int, seed: int, yes: bool, as_json: bool
) -> None:
    """Fill this installation with made-up events of the last days."""
    with installation(migrated=False) as (settings, engine):
        prepare(settings, now=datetime.now(UTC))
        if not yes and not seeding.is_empty(engine):
            raise click.ClickException(
                "this installation has events already: --yes adds made-up ones to them"
            )
        plan = seeding.Plan(events, days, products, people, seed, now=datetime.now(UTC))
        with progress_bar("seeding", events) as bar:
            made = seeding.seed(engine, plan, advance=bar.advance)
        began = datetime.now(UTC)
        with progress_bar("aggregating", days, unit="days") as bar:
            aggregate_dirty(
                engine,
                zone=settings.report_timezone,
                now=began,
                properties=settings.counted_properties,
                progress=lambda done, _: bar.set(done),
            )
        answer = {
            **made.as_answer(),
            "aggregation_s": round((datetime.now(UTC) - began).total_seconds(), 2),
        }
    if as_json:
        print(orjson.dumps(answer).decode())
    else:
        print(
            f"stored {made.events:,} events of {made.days} days in {made.seconds:.1f} s "
            f"({answer['events_per_s']:,} events/s), aggregated in {answer['aggregation_s']} s"
        )


@click.command(epilog=f"Example: ./millrace bench reports --rounds 50 --json     {NO_TEST}")
@number_option("rounds", 30, click.IntRange(2), "How often each is asked for.")
@as_json_option
def reports(rounds: int, as_json: bool) -> None:
    """Time every report and page of the event list of this installation, beside its limit."""
    with installation() as (settings, engine):
        asked = asking.questions(engine, today=asking.utc_today())
        with progress_bar("asking", len(asked), unit="questions") as bar:
            timings = asking.measure(settings, engine, asked, rounds=rounds, advance=bar.advance)
        # The day that was made raw becomes what it was.
        aggregate_dirty(
            engine,
            zone=settings.report_timezone,
            now=datetime.now(UTC),
            properties=settings.counted_properties,
        )
    if as_json:
        answer = {"results": [item.as_answer() for item in timings], "rounds": rounds}
        print(orjson.dumps({**answer, "machine": describe_machine()}).decode())
        return
    table = Table(title="Answers in ms", title_justify="left")
    for name in ("question", "from", "status", "median", "p95", "limit", ""):
        table.add_column(name, justify="left" if name in ("question", "from") else "right")
    for item in timings:
        style = None if item.ok else "bold red"
        cells = (item.name, item.source or "", item.status, item.median_ms, item.p95_ms)
        told = "ok" if item.ok else "missed"
        table.add_row(*map(str, cells), str(item.limit_ms), told, style=style)
    Console().print(table)


@click.command(epilog=f"Example: ./millrace bench export --rows 5000000 --json     {NO_TEST}")
@number_option("rows", 5_000_000, click.IntRange(1), "Events to export, at the most.")
@number_option("rounds", 3, click.IntRange(1), "How often each way is measured.")
@as_json_option
def export(rows: int, rounds: int, as_json: bool) -> None:
    """The export of this installation against plain COPY of the same columns, in turns."""
    with installation() as (settings, engine), Console(stderr=True).status("starting") as status:
        results = [
            exporting.measure(
                engine,
                settings.sqlalchemy_url,
                format_=format_,
                rows=rows,
                rounds=rounds,
                tell=status.update,
            )
            for format_ in FORMS
        ]
    if as_json:
        print(exporting.write_answer(results, {"rounds": rounds, "machine": describe_machine()}))
        return
    for item in results:
        sizes = ", ".join(f"{size} MB at {count:,} rows" for count, size in item.memory_mb.items())
        print(
            f"{item.format}: {item.rows_per_s:,.0f} rows/s, plain COPY "
            f"{item.copy_rows_per_s:,.0f}; {sizes}"
        )
    print_limits(Console(), [limit for item in results for limit in item.limits()])


COMMANDS = (seed, reports, export)
