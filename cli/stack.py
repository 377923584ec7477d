"""A whole Millrace as a context manager: servers, migrations and processes, ready, then stopped."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import click
import psutil

from cli.prepare import Prepared, prepare
from cli.processes import Program, Supervisor, stop_leftovers
from cli.servers import start_servers
from cli.servers.directory import holder
from cli.servers.environment import environment_of
from cli.servers.process import Tell, be_quiet
from cli.servers.secrets import Secrets, ensure_secrets, keep_write_key
from settings import Settings

ROOT = Path(__file__).resolve().parents[1]
READY_WITHIN_S = 90.0
#: What the web server bears; the Procfile says the same, and docs/operations.md why.
WEB_LIMITS = {
    "--backlog": 2048,
    "--backpressure": 8192,
    "--blocking-threads": 512,
    "--http1-header-read-timeout": 10_000,
}
#: With an arena for each thread, memory that was used once stays with the process.
ARENAS = {"MALLOC_ARENA_MAX": "2"}
#: Each connection takes a file; many systems begin with 1,024 of them.
OPEN_FILES = 65_536
ALL = ("web", "worker", "trainer", "beat", "flower")


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
    web = [sys.executable, "-m", "serve", "--interface", "wsgi", "wsgi:app"]
    web += ["--host", settings.host, "--port", str(settings.port), "--no-ws", "--http", "1"]
    web += ["--workers", str(settings.web_processes)]
    web += [word for name, value in WEB_LIMITS.items() for word in (name, str(value))]
    # At the level of warnings it would warn of its threads, of which few work at once.
    web += ["--respawn-failed-workers", "--workers-kill-timeout", "2", "--log-level", "error"]
    storing = ["-Q", "ingest,default", "-n", "worker@%h"]
    storing += ["--concurrency", str(settings.worker_processes)]
    training = [
        "-Q",
        "training",
        "-n",
        "trainer@%h",
        "--concurrency",
        "1",
        "--max-tasks-per-child",
        "1",
    ]
    schedule = str(data_dir / "run" / "beat-schedule")
    beat = [sys.executable, "-m", "tasks.beat", schedule]
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
    allow_files(OPEN_FILES)
    if holder(data_dir) is None:
        stop_leftovers(data_dir, tell)
        check_ports(settings, only)
    with start_servers(
        data_dir,
        postgres=not settings.database_url,
        valkey=not settings.redis_url,
        fast=fast,
        tell=tell,
    ) as servers:
        servers.keep_running(tell)
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


def allow_files(wanted: int) -> None:
    """Let this process and its children open so many files, as far as the system lets them."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit, allowed), most))


def environment_for(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Give the processes' environment; a password on flower's command line would be public."""
    return {
        **plain_environment(settings),
        "FLOWER_BASIC_AUTH": f"admin:{secrets.admin_password}",
    }


def plain_environment(settings: Settings) -> dict[str, str]:
    """Give what the environment of each process needs, flower aside."""
    return {
        **ARENAS,
        **os.environ,
        **environment_of(settings),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
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
                f"{name} cannot listen on {host}:{port}: {reason}. Set {variable} to a free port, "
                f"for example `{variable}={port + 1} ./millrace run`."
            )


def why_not_bindable(host: str, port: int) -> str | None:
    """Try to listen on a port; give the reason if that is impossible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
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
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
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
                f"{running.url}/readyz is not ready after {READY_WITHIN_S:.0f} s: {answer}. Look "
                f"into {running.data_dir / 'log' / 'web.log'}."
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
