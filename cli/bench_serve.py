"""`./millrace bench serve`: how long recommendations take at a steady rate."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench import serve as serving
from bench.machine import describe_machine
from cli.bench_options import FiniteRange, as_json_option, number_option, seed_option
from cli.installation import installation
from cli.progress import progress_bar
from cli.servers.process import last_lines
from cli.stack import ROOT, ask_ready, plain_environment, programs_for
from settings import Settings

#: Seconds at the beginning that do not count: connections are made and plans are cached.
WARM_UP_S = 5
_READY_WITHIN_S = 30.0


@click.command(epilog="Example: ./millrace bench serve --rate 100 --seconds 30 --json")
@number_option("rate", 100.0, FiniteRange(1, 10_000), "Requests a second.")
@number_option(
    "seconds", 30, click.IntRange(1, 3600), "How long, after five seconds of warming up."
)
@seed_option("Another one asks for other lists.")
@as_json_option
def serve(rate: float, seconds: int, seed: int, as_json: bool) -> None:
    """Time the recommendations of this installation through HTTP, beside their limits."""
    warm_up = int(rate * WARM_UP_S)
    with installation() as (settings, engine), web_server(settings) as served:
        asked = serving.questions(engine, warm_up + int(rate * seconds), seed=seed)
        with progress_bar("asking", len(asked), unit="requests") as bar:
            timings = serving.measure(
                served.host, served.port, asked, rate=rate, warm_up=warm_up, advance=bar.advance
            )
    if as_json:
        answer = {"results": [item.as_answer() for item in timings], "rate": rate}
        print(orjson.dumps({**answer, "machine": describe_machine()}).decode())
        return
    table = Table(title=f"Latency at {rate:g} requests a second, in ms", title_justify="left")
    for name in ("list", "requests", "errors", "p50", "p90", "p99", "longest", "limit of p99"):
        table.add_column(name, justify="left" if name == "list" else "right")
    for item in timings:
        times = (item.p50_ms, item.p90_ms, item.p99_ms, item.max_ms)
        cells = (item.kind, item.requests, item.errors, *times, item.limit_ms or "")
        table.add_row(*map(str, cells), style=None if item.ok else "bold red")
    Console().print(table)


@contextlib.contextmanager
def web_server(settings: Settings) -> Iterator[Settings]:
    """Run a web server of the installation on a port of its own, as `run` would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    served = replace(settings, host="127.0.0.1", port=port)
    with tempfile.TemporaryDirectory(prefix="mr-") as folder:
        log = Path(folder) / "web.log"
        command = programs_for(served, Path(folder))[0].command
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=plain_environment(served), stdout=output, stderr=output
            )
        try:
            _wait_until_ready(served, process, log)
            yield served
        finally:
            process.terminate()
            process.wait(timeout=10)


def _wait_until_ready(served: Settings, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(int(_READY_WITHIN_S / 0.1)):
        if ask_ready(served)[0]:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
            break
    words = last_lines(log, count=15)
    raise click.ClickException(f"the web server did not get ready. Its last words:\n{words}")
