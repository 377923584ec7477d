"""Start, watch and stop one server process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cli.servers.account import Account

Tell = Callable[[str], None]


class ServerError(Exception):
    """Say what is wrong with a server or its directory, and what to do."""


def be_quiet(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that this process started, with its address and its log."""

    url: str
    pid: int
    log: Path
    stop: Callable[[], None]
    #: Gives how it ended, None while it runs.
    poll: Callable[[], int | None]


def launch(
    command: Sequence[str], *, log: Path, account: Account | None
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that Ctrl-C reaches us alone.

    It sees nothing of our environment: a stray PGDATA or PGPORT must not steer it.
    """
    rights = account.rights() if account else {}
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=clean_environment(),
            start_new_session=True,
            **rights,
        )


def clean_environment() -> dict[str, str]:
    """Give a server's environment."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def wait_until(
    ready: Callable[[], bool],
    process: subprocess.Popen[bytes],
    *,
    log: Path,
    name: str,
    timeout_s: float,
) -> None:
    """Wait until a server answers; raise ServerError if it ends first or takes too long."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if process.poll() is not None:
            raise ServerError(
                f"{name} ended while starting. Its last words in {log}:\n{last_lines(log)}"
            )
        if time.monotonic() > deadline:
            raise ServerError(
                f"{name} was not ready after {timeout_s:.0f} s. "
                f"Its last words in {log}:\n{last_lines(log)}"
            )
        time.sleep(0.01)


def stop_child(
    process: subprocess.Popen[bytes], signals: Sequence[tuple[signal.Signals, float]]
) -> None:
    """Send one signal after the other, each with the seconds it is given, then SIGKILL."""
    for number, patience_s in signals:
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    if process.poll() is None:
        process.kill()
        process.wait()


def stop_leftover(process: psutil.Process, signals: Sequence[tuple[signal.Signals, float]]) -> None:
    """Stop a process that an earlier run left behind, in the same way."""
    for number, patience_s in [*signals, (signal.SIGKILL, 5.0)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        if ends_within(process, patience_s):
            return


def ends_within(process: psutil.Process, patience_s: float) -> bool:
    """Wait for a process that is not our child.

    One that has ended may stay a zombie for ever: in a container often nobody collects it.
    """
    deadline = time.monotonic() + patience_s
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def find_process(pid: int, argument: str) -> psutil.Process | None:
    """Find a live process by its number and one argument of its command line."""
    try:
        process = psutil.Process(pid)
        return process if is_alive(process) and argument in process.cmdline() else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def find_processes_in(directory: Path) -> list[psutil.Process]:
    """Find the live processes whose working directory this is."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.cwd() == str(directory) and is_alive(process):
                found.append(process)
    return found


def read_pid(path: Path) -> int | None:
    """Read the process number on the first line of a pid file."""
    try:
        return int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def last_lines(log: Path, *, count: int = 8) -> str:
    """Give the end of a log, indented."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "  (no log)"
    return "\n".join(f"  {line}" for line in lines[-count:]) or "  (the log is empty)"
