"""`./millrace bench`: measure this machine against a yardstick in the same run."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

import inbox
from bench.cpu import Meter, tree_of
from bench.ingest import EVENTS_OF_BATCH, BenchError, Result, Target, measure
from bench.machine import describe_machine
from bench.yardstick import Yardstick
from cli import bench_data, bench_doors, bench_recommend, bench_serve
from cli.servers.process import read_pid
from cli.stack import ALL, Stack, stack
from intake.rows import Rules
from models.api_keys import WRITE, ApiKey
from models.database import make_engine, transaction
from settings import Settings, read_settings

QUICK_ROUNDS = 3


@click.group()
def bench() -> None:
    """Measure this machine."""


for command in (
    *bench_data.COMMANDS,
    bench_doors.doors,
    bench_recommend.recommend,
    bench_serve.serve,
):
    bench.add_command(command)


@bench.command(epilog="Example: ./millrace bench ingest --batches 100 --json")
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
    else:
        answer = {"results": [item.as_answer() for item in results], **facts}
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


@contextlib.contextmanager
def running_stack() -> Iterator[tuple[Stack, Target]]:
    """Run a whole Millrace in a temporary directory, with its servers as `run` sets them up."""
    settings = read_settings()
    if settings.database_url or settings.redis_url:
        raise click.ClickException(
            "the bench writes millions of rows into servers of its own: "
            "unset DATABASE_URL and REDIS_URL"
        )
    # Sockets need short paths, and root's database must be able to pass through.
    folder = Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    settings = replace(settings, port=_free_port(), flower_port=_free_port())
    try:
        with stack(settings, folder, only=ALL) as running:
            target = make_target(running)
            try:
                yield running, target
            finally:
                target.client.close()
                target.yardstick.close()
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_target(running: Stack) -> Target:
    """Gather what the measurements need of a running Millrace."""
    postmaster = read_pid(running.data_dir / "postgres" / "postmaster.pid")
    valkey = read_pid(running.data_dir / "valkey" / "valkey.pid")
    if postmaster is None or valkey is None:
        raise click.ClickException(f"the servers of {running.data_dir} cannot be found")
    groups: dict[str, Callable[[], list[int]]] = {name: partial(running.pids, name) for name in ALL}
    settings = running.settings
    return Target(
        host="127.0.0.1",
        port=settings.port,
        write_key=running.secrets.write_key,
        key_id=_key_id(settings),
        client=inbox.connect(settings.redis_url, timeout_s=10.0),
        meter=Meter({**groups, "valkey": lambda: tree_of(valkey)}, postmaster=postmaster),
        yardstick=Yardstick(settings.database_url),
        rules=Rules(
            max_event_bytes=settings.max_event_bytes,
            max_batch_events=settings.max_batch_events,
            retention_days=settings.open_days,
        ),
    )


def _key_id(settings: Settings) -> str:
    engine = make_engine(settings.sqlalchemy_url, application="bench")
    with transaction(engine) as session:
        found = session.scalars(select(ApiKey.key_id).where(ApiKey.kind == WRITE)).first()
    engine.dispose()
    return found or ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def print_results(console: Console, results: list[Result], machine: dict[str, object]) -> None:
    """Print the figures, and where the processor time goes."""
    figures = Table(title="From HTTP to committed, counted rows", title_justify="left")
    names = ("batch", "events/s", "COPY rows/s", "rate / COPY", "CPU µs/event", "CPU / COPY")
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
