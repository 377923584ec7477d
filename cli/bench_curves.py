"""`./millrace bench curves`: what an event costs as an installation grows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench import seed as seeding
from bench.curves import BATCH, CURVES, Measured, Point, check_decline, join, list_points
from bench.ingest import EVENTS_OF_BATCH, measure
from bench.machine import describe_machine
from cli.bench_limits import NO_TEST, print_limits
from cli.bench_options import Decorator, as_json_option, number_option
from cli.bench_stack import running_stack
from settings import read_settings

PEOPLE = 200_000


def sizes_option(name: str, default: str, least: int, most: int, help: str) -> Decorator:
    """Make an option for whole numbers within bounds, with commas in between."""

    def read(context: click.Context, option: click.Parameter, value: str) -> list[int]:
        try:
            sizes = [int(number) for number in value.split(",")]
        except ValueError:
            sizes = []
        if not sizes or not all(least <= size <= most for size in sizes):
            bounds = f"numbers from {least:,} to {most:,}, as 10,20"
            raise click.BadParameter(f"must be {bounds}, got {value!r}")
        return sizes

    return click.option(f"--{name}", default=default, show_default=True, callback=read, help=help)


@click.command(
    epilog="Example: ./millrace bench curves --only stored --stored 1000000,20000000 --json"
    f"     {NO_TEST}"
)
@click.option(
    "--only",
    "curves",
    multiple=True,
    type=click.Choice(CURVES),
    help="Only this curve; may be given again.",
)
@sizes_option(
    "stored",
    "1000000,5000000",
    0,
    100_000_000,
    "Events that are stored before; the other curves take the fewest.",
)
@sizes_option("products", "10,10000,100000", 1, 100_000, "How many the events are about.")
@sizes_option("workers", "1,2,4,8", 1, 64, "Processes that store.")
@number_option("days", 30, click.IntRange(1, 360), "Days that the stored events lie in.")
@number_option("rounds", 5, click.IntRange(1), "Rounds of each point, each time.")
@number_option("times", 1, click.IntRange(1, 20), "How often all points are measured, in turns.")
@number_option("events", EVENTS_OF_BATCH[BATCH], click.IntRange(100), "Events of a round.")
@as_json_option
def curves(
    curves: tuple[str, ...],
    stored: list[int],
    products: list[int],
    workers: list[int],
    days: int,
    rounds: int,
    times: int,
    events: int,
    as_json: bool,
) -> None:
    """Batches of 100 against COPY in the same run: with more stored events, with few and many
    products, with a hot one that nine of ten events about a product are about, with more workers.
    """
    machine = describe_machine()
    points = list_points(
        curves or CURVES,
        stored=stored,
        products=products,
        workers=workers,
        usual_workers=read_settings().worker_processes,
    )
    parts: dict[Point, list[Measured]] = {point: [] for point in points}
    with Console(stderr=True).status("starting") as status:
        for _ in range(times):
            for point in points:
                parts[point].append(
                    measure_point(
                        point, days=days, rounds=rounds, events=events, tell=status.update
                    )
                )
    found = [join(measured) for measured in parts.values()]
    limits = check_decline(found)
    if as_json:
        facts = {"days": days, "rounds": rounds, "times": times, "events": events}
        answer = {"results": [item.as_answer() for item in found], **facts, "machine": machine}
        answer["limits"] = [item.as_answer() for item in limits]
        print(orjson.dumps(answer).decode())
        return
    print_points(Console(), found)
    if limits:
        print_limits(Console(), limits)


def measure_point(
    point: Point, *, days: int, rounds: int, events: int, tell: Callable[[str], None]
) -> Measured:
    """Start and fill a Millrace, measure it, and take it away."""
    said = name_point(point)
    plan = seeding.Plan(
        events=point.stored,
        days=days,
        products=point.products,
        people=PEOPLE,
        seed=1,
        now=datetime.now(UTC),
    )
    tell(f"{said}: filling")
    with running_stack(workers=point.workers, filled=plan) as (_, target):
        result = measure(
            target,
            batch=BATCH,
            rounds=rounds,
            events=max(events // BATCH, 1) * BATCH,
            shape=point.shape,
            tell=lambda text: tell(f"{said}: {text}"),
        )
    return Measured(point, result, plan.shares()[-1][1])


def print_points(console: Console, found: list[Measured]) -> None:
    """Print a line for each point."""
    title = "Batches of 100, from HTTP to committed rows"
    table = Table("point", title=title, title_justify="left")
    for name in ("events/s", "rate / COPY", "CPU µs/event", "CPU / COPY", "p99 ms"):
        table.add_column(name, justify="right")
    for item in found:
        answer = item.result.as_answer()
        table.add_row(
            name_point(item.point),
            f"{answer['events_per_s']:,.0f}",
            f"{answer['ratio_to_copy']:.2f}",
            f"{answer['cpu_us_per_event']:.1f}",
            f"{answer['cpu_over_copy']:.2f}",
            f"{answer['p99_ms']:.1f}",
        )
    console.print(table)


def name_point(point: Point) -> str:
    """Say what is particular about a point of its curve."""
    return {
        "stored": f"{point.stored:,} stored",
        "products": f"{point.products:,} products",
        "hot": f"hot: {point.hot_share:.0%}",
        "workers": f"{point.workers} workers",
    }[point.curve]
