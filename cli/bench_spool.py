"""`./millrace bench spool`: how the door answers while its inbox is away."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench.events import Plan
from bench.machine import describe_machine
from bench.spool import Answers, Door, send_all
from cli.bench_options import as_json_option, number_option
from cli.servers.process import read_pid
from cli.stack import Stack, stack
from settings import read_settings


@click.command(epilog="Example: ./millrace bench spool --batch 100 --json")
@number_option("batch", 1, click.IntRange(1, 1000), "Events of a request.")
@number_option("requests", 2000, click.IntRange(100), "Requests in each state of the inbox.")
@number_option("connections", 4, click.IntRange(1, 64), "Connections that send at once.")
@number_option("web-processes", 1, click.IntRange(1, 64), "Processes of the web server.")
@as_json_option
def spool(batch: int, requests: int, connections: int, web_processes: int, as_json: bool) -> None:
    """Latency and rate of the door with Redis, with Redis stalled, and with Redis gone."""
    folder = Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    settings = replace(read_settings(), port=_free_port(), web_processes=web_processes)
    if settings.database_url or settings.redis_url:
        raise click.ClickException("it stops its servers: unset DATABASE_URL and REDIS_URL")
    try:
        with stack(settings, folder, only=("web",)) as running:
            found = list(_measure(running, batch, requests=requests, connections=connections))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        answer = {"results": [asdict(item) for item in found], "machine": describe_machine()}
        print(orjson.dumps(answer).decode())
        return
    _print(Console(), found)


def _measure(running: Stack, batch: int, *, requests: int, connections: int) -> Iterator[Answers]:
    door = Door("127.0.0.1", running.settings.port, running.secrets.write_key)
    pid = read_pid(running.data_dir / "valkey" / "valkey.pid")
    if pid is None:
        raise click.ClickException("the inbox's server cannot be found")

    def measure(state: str, seed: int) -> Answers:
        last_ms = int(time.time() * 1000)
        plan = Plan(events=requests * batch, batch=batch, seed=seed, last_ms=last_ms)
        return send_all(door, plan, connections=connections, state=state)

    measure("warming up", 0)
    yield measure("there", 1)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield measure("stalled", 2)
    finally:
        os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGKILL)
    yield measure("gone", 3)


def _print(console: Console, found: list[Answers]) -> None:
    table = Table(title="The door while its inbox is …", title_justify="left")
    names = ("inbox", "batch", "requests", "accepted", "requests/s", "events/s", "p50 ms", "p99 ms")
    for name in (*names, "longest ms"):
        table.add_column(name, justify="left" if name == "inbox" else "right")
    for item in found:
        rates = (item.requests_per_s, item.requests_per_s * item.batch)
        table.add_row(
            item.state,
            f"{item.batch:,}",
            f"{item.requests:,}",
            f"{item.accepted:,}",
            *(f"{rate:,.0f}" for rate in rates),
            *(f"{value:.1f}" for value in (item.p50_ms, item.p99_ms, item.max_ms)),
        )
    console.print(table)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
