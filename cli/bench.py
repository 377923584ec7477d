"""`./millrace bench`: measure this machine against a yardstick in the same run."""

from __future__ import annotations

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench.ingest import EVENTS_OF_BATCH, Result, check_limits, measure
from bench.machine import describe_machine
from cli import (
    bench_curves,
    bench_data,
    bench_doors,
    bench_memory,
    bench_recommend,
    bench_serve,
    bench_spool,
    bench_store,
    bench_train,
)
from cli.bench_limits import NO_TEST, print_limits
from cli.bench_stack import running_stack

QUICK_ROUNDS = 3


@click.group()
def bench() -> None:
    """Measure this machine."""


for command in (
    *bench_data.COMMANDS,
    bench_curves.curves,
    bench_doors.doors,
    bench_memory.memory,
    bench_recommend.recommend,
    bench_serve.serve,
    bench_store.store,
    bench_spool.spool,
    bench_train.train,
):
    bench.add_command(command)


@bench.command(epilog=f"Example: ./millrace bench ingest --batches 100 --json     {NO_TEST}")
@click.option("--batches", default="1,10,100,1000", show_default=True, help="Events per request.")
@click.option(
    "--rounds", default=7, show_default=True, type=click.IntRange(1), help="Rounds of each."
)
@click.option(
    "--events", type=click.IntRange(100), help="Events a round; by default 1-2 s of them."
)
@click.option("--quick", is_flag=True, help="Three short rounds: a look, not a figure.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last.")
def ingest(batches: str, rounds: int, events: int | None, quick: bool, as_json: bool) -> None:
    """Events from HTTP to committed, counted rows, against a raw COPY of the same rows."""
    sizes = _read_sizes(batches)
    rounds = QUICK_ROUNDS if quick else rounds
    machine = describe_machine()
    progress = Console(stderr=True)
    with progress.status("starting") as status, running_stack() as (running, target):
        results = [
            measure(
                target,
                batch=size,
                rounds=rounds,
                events=_events_of(size, events, quick),
                tell=status.update,
            )
            for size in sizes
        ]
        workers = running.settings.worker_processes
    facts = {
        "machine": machine,
        "rounds": rounds,
        "worker_processes": workers,
        "cpu_us_per_event_by_group": {str(item.batch): item.cpu_by_group() for item in results},
    }
    if not as_json:
        print_results(Console(), results, machine)
        print_limits(Console(), check_limits(results))
    else:
        limits = [item.as_answer() for item in check_limits(results)]
        answer = {"results": [item.as_answer() for item in results], "limits": limits, **facts}
        print(orjson.dumps(answer).decode())


def _read_sizes(batches: str) -> list[int]:
    try:
        sizes = [int(size) for size in batches.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(1 <= size <= 1000 for size in sizes):
        raise click.BadParameter(f"--batches must be numbers from 1 to 1000, got {batches!r}")
    return sizes


def _events_of(batch: int, wanted: int | None, quick: bool) -> int:
    nearest = min(EVENTS_OF_BATCH, key=lambda size: abs(size - batch))
    events = wanted or EVENTS_OF_BATCH[nearest] // (5 if quick else 1)
    return max(events // batch, 1) * batch


def print_results(console: Console, results: list[Result], machine: dict[str, object]) -> None:
    """Print the figures, and where the processor time goes."""
    figures = Table(title="From HTTP to committed, counted rows", title_justify="left")
    names = ("batch", "events/s", "COPY rows/s", "rate / COPY", "CPU µs/event", "CPU / COPY", "p99")
    for name in names:
        figures.add_column(name, justify="right")
    for item in results:
        answer = item.as_answer()
        figures.add_row(
            f"{item.batch:,}",
            f"{answer['events_per_s']:,.0f}",
            f"{answer['copy_rows_per_s']:,.0f}",
            f"{answer['ratio_to_copy']:.2f}",
            f"{answer['cpu_us_per_event']:.1f}",
            f"{answer['cpu_over_copy']:.2f}",
            f"{answer['p99_ms']:.1f} ms",
        )
    console.print(figures)
    groups = list(results[0].cpu_by_group())
    shares = Table(title="CPU by process, µs per event", title_justify="left")
    for name in ("batch", *groups):
        shares.add_column(name, justify="right")
    for item in results:
        shares.add_row(
            f"{item.batch:,}", *(f"{value:.1f}" for value in item.cpu_by_group().values())
        )
    console.print(shares)
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}",
        style="dim",
        highlight=False,
    )
