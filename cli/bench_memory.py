"""`./millrace bench memory`: what each process takes, after some events have gone through."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

import inbox
from bench.cpu import tree_of
from bench.machine import describe_machine
from bench.memory import MemoryUnreadable, Total, read_memory
from cli.bench_options import as_json_option, number_option
from cli.servers.process import read_pid
from cli.stack import ALL, Stack, stack
from settings import Settings, read_settings

EMBEDDED_LIMIT_MB = 700
PRODUCTION_LIMIT_MB = 350
PRODUCTION = ("web", "worker", "beat")
_SERVERS = {"postgres": "postgres/postmaster.pid", "valkey": "valkey/valkey.pid"}
_BATCH = 100
_STORED_WITHIN_S = 120.0


@click.command(epilog="Example: ./millrace bench memory --events 20000 --json")
@number_option("events", 20_000, click.IntRange(100, 10_000_000), "Events stored before.")
@as_json_option
def memory(events: int, as_json: bool) -> int:
    """Memory by process: all of `./millrace run`, and two web processes, a worker and Beat."""
    settings = read_settings()
    if settings.database_url or settings.redis_url:
        raise click.ClickException("it fills servers of its own: unset DATABASE_URL and REDIS_URL")
    production = replace(settings, web_processes=2, worker_processes=1)
    try:
        totals = [
            _measure("embedded", settings, ALL, (*ALL, *_SERVERS), EMBEDDED_LIMIT_MB, events),
            _measure("production", production, PRODUCTION, PRODUCTION, PRODUCTION_LIMIT_MB, events),
        ]
    except MemoryUnreadable as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        results = [{**asdict(total), "pss_mb": total.pss_mb, "ok": total.ok} for total in totals]
        answer = {"results": results, "events": events, "machine": describe_machine()}
        print(orjson.dumps(answer).decode())
    else:
        for total in totals:
            _print(Console(), total)
    return 0 if all(total.ok for total in totals) else 1


def _measure(
    name: str,
    settings: Settings,
    run: Collection[str],
    counted: Collection[str],
    limit_mb: int,
    events: int,
) -> Total:
    with _running(settings, run) as running:
        _send(running, events)
        groups = {
            group: tree_of(read_pid(running.data_dir / _SERVERS[group]) or 0)
            if group in _SERVERS
            else running.pids(group)
            for group in counted
        }
        return Total(name, read_memory(groups), limit_mb)


@contextlib.contextmanager
def _running(settings: Settings, run: Collection[str]) -> Iterator[Stack]:
    # Sockets need short paths, and root's database must be able to pass through.
    folder = Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    free = replace(settings, port=_free_port(), flower_port=_free_port())
    try:
        with stack(free, folder, only=run) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _send(running: Stack, events: int) -> None:
    """Send events in batches and wait until they are stored."""
    headers = {"Content-Type": "application/json", "X-Write-Key": running.secrets.write_key}
    for first in range(0, events, _BATCH):
        batch = [
            {"event_type": "product_view", "product_id": f"p{n % 500}", "anonymous_id": f"a{n}"}
            for n in range(first, first + _BATCH)
        ]
        # A connection each: so that all web processes have some.
        web = http.client.HTTPConnection("127.0.0.1", running.settings.port, timeout=30)
        body = orjson.dumps({"events": batch})
        web.request("POST", "/api/v1/analytics/events/", body=body, headers=headers)
        status = web.getresponse().status
        web.close()
        if status != 201:
            raise click.ClickException(f"a batch was answered with {status}")
    client = inbox.connect(running.settings.redis_url, timeout_s=10.0)
    until = time.monotonic() + _STORED_WITHIN_S
    while inbox.read_depth(client).batches:
        if time.monotonic() > until:
            raise click.ClickException(f"not stored within {_STORED_WITHIN_S:.0f} s")
        time.sleep(0.1)
    client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _print(console: Console, total: Total) -> None:
    table = Table(title=f"{total.name}: memory in MB (PSS)", title_justify="left")
    for name in ("group", "processes", "PSS", "of it shared memory", "RSS", "limit"):
        table.add_column(name, justify="left" if name == "group" else "right")
    for item in total.groups:
        cells = (item.processes, item.pss_mb, item.shared_mb, item.rss_mb, "")
        table.add_row(item.group, *map(str, cells))
    table.add_row(
        "total", "", str(total.pss_mb), "", "", str(total.limit_mb),
        style="bold" if total.ok else "bold red",
    )  # fmt: skip
    console.print(table)
