"""`./millrace run`: servers, migrations and processes, from one terminal."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click
import psutil
from rich.console import Console
from rich.markup import escape

from cli.prepare import Prepared, prepare
from cli.processes import Program, Supervisor, stop_leftovers
from cli.servers import start_servers
from cli.servers.environment import environment_of
from cli.servers.process import Tell, be_quiet
from cli.servers.secrets import Secrets, ensure_secrets, keep_write_key
from settings import Settings, read_settings, resolve_data_dir

ROOT = Path(__file__).resolve().parents[1]
READY_WITHIN_S = 90.0
WEB_THREADS = 4
ALL = ("web", "worker", "trainer", "beat", "flower")
TROUBLE = re.compile(r'"level": ?"(error|critical)"|\b(ERROR|CRITICAL)\b|^Traceback|^\w*(Error|Exception): ')


class StackError(click.ClickException):
    """Say why the processes did not come up, and what to do."""


class Cancelled(Exception):
    """The person asked to stop while it was starting."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running Millrace."""

    settings: Settings
    data_dir: Path
    secrets: Secrets
    prepared: Prepared
    supervisor: Supervisor

    @property
    def url(self) -> str:
        """Give the web server's address."""
        return f"http://{_address(self.settings)}:{self.settings.port}"

    def pids(self, name: str) -> list[int]:
        """Give the process numbers of one program (`web`, `worker`, …), its main process first."""
        return self.supervisor.pids(name)

    def kill(self, name: str) -> list[int]:
        """Kill -9 every process of a program; it is started again with backoff."""
        pids = self.pids(name)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids


def programs_for(settings: Settings, data_dir: Path) -> list[Program]:
    """Give the processes of a whole Millrace. The Procfile names the same ones."""
    celery = [sys.executable, "-m", "celery", "-A", "tasks.celery_app"]
    worker = [*celery, "worker", "--without-gossip", "--without-mingle", "-l", settings.log_level]
    web = [sys.executable, "-m", "granian", "--interface", "wsgi", "wsgi:app"]
    web += ["--host", settings.host, "--port", str(settings.port), "--no-ws", "--http", "1"]
    web += ["--workers", str(settings.web_processes), "--blocking-threads", str(WEB_THREADS)]
    web += ["--respawn-failed-workers", "--workers-kill-timeout", "2", "--log-level", "warning"]
    storing = ["-Q", "ingest,default", "-n", "worker@%h"]
    storing += ["--concurrency", str(settings.worker_processes)]
    training = ["-Q", "training", "-n", "trainer@%h", "--concurrency", "1", "--max-tasks-per-child", "1"]
    schedule = str(data_dir / "run" / "beat-schedule")
    beat = [*celery, "beat", "-s", schedule, "--pidfile=", "-l", settings.log_level]
    flower = [*celery, "flower", "--address=127.0.0.1", f"--port={settings.flower_port}"]
    return [
        Program("web", web, stop_order=0, patience_s=3.0),
        Program("worker", [*worker, *storing]),
        Program("trainer", [*worker, *training], patience_s=3.0),
        Program("beat", beat, patience_s=3.0),
        Program("flower", [*flower, "--logging=warning"], patience_s=2.0),
    ]


@contextlib.contextmanager
def stack(
    settings: Settings,
    data_dir: Path,
    *,
    only: Collection[str] = ALL,
    fast: bool = False,
    tell: Tell = be_quiet,
    on_log: Callable[[str, str], None] | None = None,
    on_prepared: Callable[[Prepared, Secrets], None] | None = None,
    cancelled: threading.Event | None = None,
    at_once: threading.Event | None = None,
) -> Iterator[Stack]:
    """Start a Millrace, yield it when it is ready, and stop all of it.

    Servers whose address the settings do not give are started in `data_dir`.
    `only` names the processes to run, `fast` gives up the servers' durability
    (for tests). Setting `cancelled` ends a start with Cancelled; setting
    `at_once` makes the stop impatient.
    """
    data_dir = data_dir.resolve()
    with start_servers(
        data_dir,
        postgres=not settings.database_url,
        valkey=not settings.redis_url,
        fast=fast,
        tell=tell,
    ) as servers:
        stop_leftovers(data_dir, tell)
        check_ports(settings, only)
        secrets = ensure_secrets(data_dir)
        filled = replace(
            servers.fill(settings),
            secret_key=settings.secret_key or secrets.secret_key,
            data_dir=str(data_dir),
        )
        tell("Preparing the database")
        prepared = prepare(filled, now=datetime.now(UTC))
        if prepared.write_key:
            keep_write_key(data_dir, prepared.write_key)
            secrets = ensure_secrets(data_dir)
        if on_prepared:
            on_prepared(prepared, secrets)
        supervisor = Supervisor(
            programs=[p for p in programs_for(filled, data_dir) if p.name in only],
            environment=environment_for(filled, secrets),
            data_dir=data_dir,
            root=ROOT,
            tell=tell,
            on_log=on_log,
        )
        running = Stack(filled, data_dir, secrets, prepared, supervisor)
        try:
            tell(f"Starting {', '.join(program.name for program in supervisor.programs)}")
            supervisor.start()
            wait_until_ready(running, cancelled)
            supervisor.restarts = True
            yield running
        finally:
            supervisor.stop(at_once=at_once)


def environment_for(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Give the processes' environment. Flower's password is not on its command line: all see that."""
    return {
        **os.environ,
        **environment_of(settings),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "FLOWER_BASIC_AUTH": f"admin:{secrets.admin_password}",
    }


def check_ports(settings: Settings, only: Collection[str]) -> None:
    """Refuse before anything starts when a port is taken, naming the variable to set."""
    wanted = {
        "web": (settings.host, settings.port, "PORT"),
        "flower": ("127.0.0.1", settings.flower_port, "FLOWER_PORT"),
    }
    for name, (host, port, variable) in wanted.items():
        if name in only and (reason := why_not_bindable(host, port)):
            raise StackError(
                f"{name} cannot listen on {host}:{port}: {reason}. Set {variable} to a free port, for "
                f"example `{variable}={port + 1} ./millrace run`."
            )


def why_not_bindable(host: str, port: int) -> str | None:
    """Try to listen on a port; give the reason if that is impossible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return f"{error.strerror or error}{_user_of(port)}"
    return None


def _user_of(port: int) -> str:
    """Name the process that listens on a port, where the system tells."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr
            if listens and connection.laddr.port == port and connection.pid:
                return f" (by {psutil.Process(connection.pid).name()}, process {connection.pid})"
    return ""


def wait_until_ready(running: Stack, cancelled: threading.Event | None = None) -> None:
    """Wait for `/readyz`; raise StackError naming the process that ended before."""
    deadline = time.monotonic() + READY_WITHIN_S
    answer = "no answer"
    while True:
        if cancelled and cancelled.is_set():
            raise Cancelled
        if death := running.supervisor.first_death():
            raise StackError(str(death))
        if not running.pids("web") and "web" not in [p.name for p in running.supervisor.programs]:
            return
        ready, answer = ask_ready(running.settings)
        if ready:
            return
        if time.monotonic() > deadline:
            raise StackError(
                f"{running.url}/readyz is not ready after {READY_WITHIN_S:.0f} s: {answer}. Look into "
                f"{running.data_dir / 'log' / 'web.log'}."
            )
        time.sleep(0.05)


def ask_ready(settings: Settings) -> tuple[bool, str]:
    """Ask the web server whether it is ready, past any proxy the environment names."""
    connection = http.client.HTTPConnection(_address(settings), settings.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status == 200, answer.read(500).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return False, str(error)
    finally:
        connection.close()


def _address(settings: Settings) -> str:
    """Give the address at which this machine reaches the web server."""
    everywhere = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}
    host = everywhere.get(settings.host, settings.host)
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def curl_line(running: Stack) -> str:
    """Give a line that sends one event when it is pasted into a shell."""
    event = {"event_type": "product_view", "product_id": "p1", "anonymous_id": "me"}
    words = ["curl", f"{running.url}/api/v1/analytics/events/", "-H", "Content-Type: application/json"]
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
    with contextlib.suppress(Cancelled):
        with stack(
            settings,
            data_dir,
            tell=say.state,
            on_log=say.log,
            on_prepared=say.credentials,
            cancelled=cancelled,
            at_once=at_once,
        ) as running:
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
