"""`./millrace bench doors`: what an event costs at each door."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench import doors as measuring
from bench.machine import describe_machine
from cli.bench_options import as_json_option, number_option
from cli.prepare import prepare
from cli.servers import start_servers
from settings import read_settings

BATCHES = (1, 10, 100)


@click.command(epilog="Example: ./millrace bench doors --json")
@number_option("rounds", 15, click.IntRange(1), "How often each door is measured.")
@as_json_option
def doors(rounds: int, as_json: bool) -> None:
    """The same events in each dialect's words, against our own, in turns."""
    # The web server's frameworks are loaded by the commands that need them only.
    from app.factory import create_app

    with (
        tempfile.TemporaryDirectory(prefix="mr-") as folder,
        Console(stderr=True).status("starting") as status,
        start_servers(Path(folder)) as servers,
    ):
        settings = replace(
            read_settings(),
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            secret_key="only for this measurement",
            log_level="error",
            door_timeout_s=5.0,
        )
        prepare(settings, now=datetime.now(UTC))
        app = create_app(settings)
        costs = [
            cost
            for batch in BATCHES
            for cost in measuring.measure(
                app, settings.redis_url, batch=batch, rounds=rounds, tell=status.update
            )
        ]
        app.extensions["millrace"].close()
    if as_json:
        answer = {
            "doors": [cost.as_answer() for cost in costs],
            "rounds": rounds,
            "machine": describe_machine(),
        }
        print(orjson.dumps(answer).decode())
        return
    table = Table("door", "batch", "CPU µs/event", "native = 1")
    for cost in costs:
        table.add_row(cost.door, str(cost.batch), f"{cost.us_per_event:.1f}", f"{cost.ratio:.2f}")
    Console().print(table)
