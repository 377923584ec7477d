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
from typing import Any

import psutil
import redis
from sqlalchemy import Engine

import fail_points
import inbox
from cli.prepare import prepare
from cli.processes import kill_group
from cli.servers.directory import choose_run_dir, hold, make_data_dir, make_run_dir
from cli.servers.postgres import start_postgres
from cli.servers.process import RunningServer, last_lines
from cli.servers.secrets import ensure_secrets
from cli.servers.valkey import start_valkey
from cli.stack import ROOT, ask_ready, environment_for, programs_for
from models.database import make_engine
from settings import Settings, read_settings, resolve_spool_dir
from spool import Spool

HOST = "127.0.0.1"
RECLAIM_S = 1.0
PROCESSES = ("web", "worker", "beat")


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
        # The checker's own connections: they never lead through a proxy.
        self.engine = make_engine(self.settings.sqlalchemy_url, application="faults")
        self.client = inbox.connect(self.settings.redis_url, timeout_s=5.0)
        self._prepare_commands()

    def start(self, name: str, *, held: socket.socket | None = None) -> None:
        """Start a process of the stack; `second` is another worker.

        One of that name which a failed scenario left behind is killed before. A socket that is
        held for it is passed as systemd does.
        """
        if name in self.processes:
            self.kill(name)
        command = self._commands[name]
        if held is not None:
            passed = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&0 0</dev/null'
            command = ["sh", "-c", passed, "sh", *command]
        with (self.data_dir / "log" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL if held is None else held,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Kill -9 a process and all of its children."""
        process = self.processes.pop(name)
        kill_group(process.pid)
        process.wait()

    def kill_all(self) -> None:
        """Kill every process of the stack."""
        for name in list(self.processes):
            self.kill(name)

    def stop(self, name: str, *, within_s: float = 75.0) -> int:
        """Ask a process to end, and wait until it has; give its exit code."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            return process.wait(within_s)
        finally:
            kill_group(process.pid)

    def revive(self) -> list[str]:
        """Start again what has ended by itself, as the supervisor does; give the names.

        Celery's worker may end when its broker goes away: kombu then looks for the address of a
        connection that it has closed.
        """
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        for name in ended:
            self.kill(name)
            self.start(name)
        return ended

    def change_settings(self, **changes: Any) -> None:
        """Start the processes that run again, with other settings."""
        self.settings = replace(self.settings, **changes)
        self._prepare_commands()
        names = list(self.processes)
        self.kill_all()
        for name in names:
            self.start(name)
        self.wait_until_ready()

    @contextlib.contextmanager
    def changed(self, **changes: Any) -> Iterator[None]:
        """Run with other settings for a while."""
        before = {name: getattr(self.settings, name) for name in changes}
        self.change_settings(**changes)
        try:
            yield
        finally:
            self.change_settings(**before)

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

    def arm(self, point: str, action: str = "kill") -> None:
        """Make the next process that passes a fail point do something."""
        fail_points.arm(Path(self.settings.fail_points_dir), point, action)

    def disarm(self, point: str) -> None:
        """Take a point back that nobody has come to."""
        (Path(self.settings.fail_points_dir) / point).unlink(missing_ok=True)

    def fired(self, point: str) -> list[int]:
        """Give the processes that have obeyed a fail point."""
        return fail_points.fired(Path(self.settings.fail_points_dir), point)

    def wait_until_fired(self, point: str, *, times: int, within_s: float = 120.0) -> int:
        """Wait until a point was obeyed so many times in all; give the last process's number.

        What ends meanwhile is started again.
        """
        deadline = time.monotonic() + within_s
        while len(found := self.fired(point)) < times:
            assert time.monotonic() < deadline, f"nobody came to {point} within {within_s:.0f} s"
            self.revive()
            time.sleep(0.005)
        return found[-1]

    def wait_until_ready(self, *, within_s: float = 30.0) -> None:
        """Wait until the door says that it is ready."""
        deadline = time.monotonic() + within_s
        while not ask_ready(self.settings)[0]:
            if time.monotonic() > deadline:
                words = last_lines(self.data_dir / "log" / "web.log")
                raise AssertionError(f"{ask_ready(self.settings)[1]}\n{words}")
            self.revive()
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

    def count_spooled(self) -> int:
        """Count what the doors keep on their disk because Redis was away."""
        folder = resolve_spool_dir(self.settings, root=ROOT)
        if folder is None:
            return 0
        return Spool(folder, max_bytes=self.settings.spool_max_bytes).read_depth().batches

    def _prepare_commands(self) -> None:
        commands = {item.name: item.command for item in programs_for(self.settings, self.data_dir)}
        second = [word.replace("worker@%h", "second@%h") for word in commands["worker"]]
        self._commands = {**commands, "second": second}
        self._environment = environment_for(self.settings, ensure_secrets(self.data_dir))


def _stop_all(servers: dict[str, RunningServer]) -> None:
    for server in servers.values():
        server.stop()


def _pid_in(consumer: bytes) -> int:
    return int(consumer.decode().rsplit("-", 2)[1])


def _start_server(name: str, data_dir: Path, run_dir: Path) -> RunningServer:
    start = start_postgres if name == "postgres" else start_valkey
    return start(data_dir, run_dir=run_dir)


@contextlib.contextmanager
def running_system(data_dir: Path, **changes: Any) -> Iterator[System]:
    """Start servers with their full durability, web, worker and Beat; stop all in the end.

    `changes` are settings by their names in Settings.
    """
    make_data_dir(data_dir)
    run_dir = choose_run_dir(data_dir)
    points = data_dir / "points"
    points.mkdir()
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(hold(data_dir))
        make_run_dir(run_dir)
        servers = {name: _start_server(name, data_dir, run_dir) for name in ("valkey", "postgres")}
        # Looked up at the end: a scenario may have put another server in its place.
        cleanup.callback(lambda: _stop_all(servers))
        settings = replace(
            read_settings({"INBOX_RECLAIM_S": str(RECLAIM_S), "LOG_LEVEL": "warning"}),
            database_url=servers["postgres"].url,
            redis_url=servers["valkey"].url,
            secret_key=ensure_secrets(data_dir).secret_key,
            data_dir=str(data_dir),
            fail_points_dir=str(points),
            port=_free_port(),
            **changes,
        )
        prepare(settings, now=datetime.now(UTC))
        system = System(data_dir, run_dir, settings, servers)
        cleanup.callback(system.kill_all)
        for name in PROCESSES:
            system.start(name)
        system.wait_until_ready()
        yield system
        system.engine.dispose()
        system.client.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
