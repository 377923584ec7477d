"""`./millrace run`: everything, from one terminal."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from types import FrameType

import click
from rich.console import Console
from rich.markup import escape

from cli.prepare import Prepared
from cli.servers.secrets import Secrets
from cli.stack import ALL, ROOT, Cancelled, Stack, stack
from settings import read_settings, resolve_data_dir

__all__ = ["ALL", "ROOT", "Stack", "curl_line", "run", "stack"]

TROUBLE = re.compile(
    r'"level": ?"(error|critical)"|\b(ERROR|CRITICAL)\b|^Traceback|^\w*(Error|Exception): '
)


def curl_line(running: Stack) -> str:
    """Give a line that sends one event when it is pasted into a shell."""
    event = {"event_type": "product_view", "product_id": "p1", "anonymous_id": "me"}
    words = [
        "curl",
        f"{running.url}/api/v1/analytics/events/",
        "-H",
        "Content-Type: application/json",
    ]
    if running.secrets.write_key:
        words += ["-H", f"X-Write-Key: {running.secrets.write_key}"]
    return shlex.join([*words, "-d", json.dumps(event)])


@click.command(epilog="Example: PORT=9000 ./millrace run")
@click.option("--verbose", is_flag=True, help="Show every line the processes log.")
def run(verbose: bool) -> None:
    """Start everything and keep it running until Ctrl-C."""
    settings = read_settings()
    data_dir = resolve_data_dir(settings, root=ROOT)
    console = Console(highlight=False, soft_wrap=True)
    say = Speaker(console, verbose=verbose)
    cancelled, at_once = threading.Event(), threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        (at_once if cancelled.is_set() else cancelled).set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` has the hang-up ignored, and means it.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, on_signal)
    began = time.monotonic()
    with (
        contextlib.suppress(Cancelled),
        stack(
            settings,
            data_dir,
            tell=say.state,
            on_log=say.log,
            on_prepared=say.credentials,
            cancelled=cancelled,
            at_once=at_once,
        ) as running,
    ):
        say.welcome(running, time.monotonic() - began)
        while not cancelled.wait(1.0):
            pass
        say.state("Stopping (Ctrl-C again: at once)")
    say.state("Stopped")


class Speaker:
    """Tell the person what happens, and no more: the logs are in files."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self.console = console
        self.verbose = verbose

    def line(self, text: str) -> None:
        """Print, unless the terminal is gone."""
        with contextlib.suppress(OSError):
            self.console.print(text)

    def state(self, text: str) -> None:
        """Tell that something changed."""
        self.line(f"[dim]{datetime.now().astimezone():%H:%M:%S}[/] {escape(text)}")

    def log(self, name: str, line: str) -> None:
        """Show a process's trouble, or every line of it."""
        trouble = TROUBLE.search(line)
        if self.verbose or trouble:
            colour = "red" if trouble else "cyan"
            self.line(f"[{colour}]{name:>8}[/] {escape(line)}")

    def credentials(self, prepared: Prepared, secrets: Secrets) -> None:
        """Show what is shown once."""
        if not prepared.first_start:
            return
        rows = {
            "Admin token": prepared.admin_token or "",
            "Write key": prepared.write_key or "",
            "Flower": f"admin / {secrets.admin_password}",
        }
        self.line("\n[bold]Keep these; they are shown once:[/]")
        for name, value in rows.items():
            self.line(f"  {name:<12} [bold green]{escape(value)}[/]")
        self.line("")

    def welcome(self, running: Stack, seconds: float) -> None:
        """Show where everything is."""
        settings = running.settings
        rows: Sequence[tuple[str, str]] = (
            ("Events", f"POST {running.url}/api/v1/analytics/events/"),
            ("SDKs", f"{running.url}{settings.door_prefix}   (for their host: docs/sdks.md)"),
            ("API", f"{running.url}/openapi.json"),
            ("Health", f"{running.url}/readyz   {running.url}/metrics"),
            ("Workers", f"http://127.0.0.1:{settings.flower_port}   (flower, user admin)"),
            ("Logs", str(running.data_dir / "log")),
        )
        self.line(f"\n[bold green]Millrace is ready[/] [dim]after {seconds:.1f} s[/]\n")
        for name, value in rows:
            self.line(f"  {name:<8} {escape(value)}")
        self.line(f"\nSend an event:\n  [cyan]{escape(curl_line(running))}[/]\n")
        self.line("[dim]Ctrl-C stops everything.[/]")
