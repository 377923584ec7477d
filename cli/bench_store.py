"""`./millrace bench store`: what it costs the database to store and count an event."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench import store as measuring
from bench.machine import describe_machine
from bench.yardstick import Yardstick
from cli.bench_limits import NO_TEST, print_limits
from cli.bench_options import as_json_option, number_option
from cli.prepare import prepare
from cli.servers import start_servers
from models.database import make_engine
from settings import read_settings


@click.command(epilog=f"Example: ./millrace bench store --rows 5000 --json     {NO_TEST}")
@number_option("rounds", 7, click.IntRange(1), "How often each way is measured.")
@number_option("events", 40_000, click.IntRange(100), "Events of a round.")
@number_option("rows", 20_000, click.IntRange(100), "Events of one transaction.")
@as_json_option
def store(rounds: int, events: int, rows: int, as_json: bool) -> None:
    """Events that are stored and counted, against a raw COPY of the same rows, in turns."""
    with (
        tempfile.TemporaryDirectory(prefix="mr-") as folder,
        Console(stderr=True).status("starting") as status,
        start_servers(Path(folder)) as servers,
    ):
        settings = replace(
            read_settings(), database_url=servers.database_url, redis_url=servers.redis_url
        )
        prepare(settings, now=datetime.now(UTC))
        engine = make_engine(settings.sqlalchemy_url, application="bench")
        yardstick = Yardstick(settings.database_url)
        ways = measuring.measure(
            engine, yardstick, rounds=rounds, events=events, rows=rows, tell=status.update
        )
        yardstick.close()
        engine.dispose()
    if as_json:
        answer = {
            "ways": [way.as_answer() for way in ways],
            "limits": [item.as_answer() for item in measuring.check_limits(ways)],
            "rounds": rounds,
            "rows": rows,
            "machine": describe_machine(),
        }
        print(orjson.dumps(answer).decode())
        return
    table = Table("way", "database µs/event", "worker µs/event", "COPY µs/row", "database / COPY")
    for way in ways:
        table.add_row(
            way.name,
            f"{way.database_us:.1f}",
            f"{way.worker_us:.1f}",
            f"{way.copy_us:.1f}",
            f"{way.ratio:.2f}",
        )
    Console().print(table)
    print_limits(Console(), measuring.check_limits(ways))
