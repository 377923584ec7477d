"""A whole Millrace whose every process can be killed, stopped and started again at once.

The supervisor of `./millrace run` waits longer after each death; here nothing waits, so that many
faults fit into a minute.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import redis
from sqlalchemy import Engine

import inbox
from cli.prepare import prepare
from cli.servers.directory import choose_run_dir, hold, make_data_dir, make_run_dir
from cli.servers.postgres import start_postgres
from cli.servers.process import RunningServer
from cli.servers.secrets import ensure_secrets
from cli.servers.valkey import start_valkey
from cli.stack import ROOT, ask_ready, environment_for, programs_for
from models.database import make_engine
from settings import Settings, read_settings

HOST = "127.0.0.1"
RECLAIM_S = 1.0


@dataclass
class System:
    """The servers and processes of one data directory."""

    data_dir: Path
    run_dir: Path
    settings: Settings
    servers: dict[str, RunningServer]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    engine: Engine = field(init=False)
    client: redis.Redis = field(init=False)

    def __post_init__(self) -> None:
        self.engine = make_engine(self.settings.sqlalchemy_url, application="faults")
        self.client = inbox.connect(self.settings.redis_url, timeout_s=5.0)
        commands = {item.name: item.command for item in programs_for(self.settings, self.data_dir)}
        second = [word.replace("worker@%h", "second@%h") for word in commands["worker"]]
        self._commands = {**commands, "second": second}
        self._environment = environment_for(self.settings, ensure_secrets(self.data_dir))

    def start(self, name: str) -> None:
        """Start a process of the stack; `second` is another worker."""
        with (self.data_dir / "log" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self._commands[name],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Kill -9 a process and all of its children."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def revive(self) -> list[str]:
        """Start again what has ended by itself, as the supervisor does; give the names.

        Celery's worker may end when its broker goes away: kombu then looks for the address of a
        connection that it has closed.
        """
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        for name in ended:
            self.start(name)
        return ended

    def tree(self, name: str) -> list[psutil.Process]:
        """Give a process and its children."""
        main = psutil.Process(self.processes[name].pid)
        return [main, *main.children(recursive=True)]

    def kill_server(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill PostgreSQL's or Valkey's main process, leaving its files as they are."""
        os.kill(self.servers[name].pid, number)

    def start_server(self, name: str) -> None:
        """Start a killed server again on its files."""
        self.servers[name].stop()
        self.servers[name] = _start_server(name, self.data_dir, self.run_dir)

    def wait_until_ready(self, *, within_s: float = 30.0) -> None:
        """Wait until the door says that it is ready."""
        deadline = time.monotonic() + within_s
        while not ask_ready(self.settings)[0]:
            assert time.monotonic() < deadline, ask_ready(self.settings)[1]
            time.sleep(0.05)

    def holders(self) -> dict[int, int]:
        """Give the batches held by each worker process, by its number."""
        with contextlib.suppress(redis.exceptions.RedisError):
            consumers = self.client.xinfo_consumers(inbox.STREAM, inbox.GROUP)
            return {_pid_in(item["name"]): item["pending"] for item in consumers}  # type: ignore[union-attr]
        return {}

    def wait_until_holding(self, name: str, *, within_s: float = 15.0) -> bool:
        """Wait until a worker has taken batches that it has not stored yet."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            pids = {process.pid for process in self.tree(name)}
            for _ in range(50):
                if any(held and pid in pids for pid, held in self.holders().items()):
                    return True
                time.sleep(0.001)
        return False


def _pid_in(consumer: bytes) -> int:
    return int(consumer.decode().rsplit("-", 2)[1])


def _start_server(name: str, data_dir: Path, run_dir: Path) -> RunningServer:
    start = start_postgres if name == "postgres" else start_valkey
    return start(data_dir, run_dir=run_dir)


@contextlib.contextmanager
def running_system(data_dir: Path) -> Iterator[System]:
    """Start servers with their full durability, web, worker and Beat; stop all in the end."""
    make_data_dir(data_dir)
    run_dir = choose_run_dir(data_dir)
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(hold(data_dir))
        make_run_dir(run_dir)
        servers = {name: _start_server(name, data_dir, run_dir) for name in ("valkey", "postgres")}
        # Looked up at the end: a scenario may have put another server in its place.
        cleanup.callback(lambda: [server.stop() for server in servers.values()])
        settings = replace(
            read_settings({"INBOX_RECLAIM_S": str(RECLAIM_S), "LOG_LEVEL": "warning"}),
            database_url=servers["postgres"].url,
            redis_url=servers["valkey"].url,
            secret_key=ensure_secrets(data_dir).secret_key,
            data_dir=str(data_dir),
            port=_free_port(),
        )
        prepare(settings, now=datetime.now(UTC))
        system = System(data_dir, run_dir, settings, servers)
        cleanup.callback(lambda: [system.kill(name) for name in list(system.processes)])
        for name in ("web", "worker", "beat"):
            system.start(name)
        system.wait_until_ready()
        yield system
        system.engine.dispose()
        system.client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
