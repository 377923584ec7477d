"""Keep a few processes running: start, restart with backoff, stop in order.

honcho's Manager stops everything as soon as one process ends, and has no order in which to
stop; an event backend must outlive the death of its worker. So this small supervisor runs
them, and honcho stays for those who prefer the Procfile.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cli.backoff import Backoff, how_ended
from cli.servers.process import Tell, ends_within, is_alive, last_lines

BIGGEST_LOG_BYTES = 20_000_000
MARK = "MILLRACE_DATA_DIR"


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running. Lower `stop_order` stops first, within `patience_s`."""

    name: str
    command: Sequence[str]
    stop_order: int = 1
    patience_s: float = 5.0


@dataclass(slots=True)
class _Child:
    program: Program
    log: Path
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)
    due: float = 0.0
    ended_with: int | None = None


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended although nobody asked it to."""

    name: str
    code: int
    log: Path

    def __str__(self) -> str:
        words = last_lines(self.log, count=15)
        return f"{self.name} ended ({how_ended(self.code)}). Its last words in {self.log}:\n{words}"


@dataclass
class Supervisor:
    """Run programs, each in a session of its own, in one data directory.

    They are recorded with the data directory's name in their environment, so that
    the next start can stop what a killed run left behind and nothing else.
    """

    programs: Sequence[Program]
    environment: Mapping[str, str]
    data_dir: Path
    root: Path
    tell: Tell
    on_log: Callable[[str, str], None] | None = None
    restarts: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._children = {
            program.name: _Child(program, self.data_dir / "log" / f"{program.name}.log")
            for program in self.programs
        }
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._monitor = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._read_to: dict[str, int] = {}

    def start(self) -> None:
        """Start all programs; they are watched, but not restarted until `restarts` is set."""
        for child in self._children.values():
            _rotate(child.log)
            self._read_to[child.program.name] = _size(child.log)
        with self._lock:
            for child in self._children.values():
                self._spawn(child)
        self._monitor.start()

    def first_death(self) -> Death | None:
        """Give a process that is not running now."""
        with self._lock:
            for name, child in self._children.items():
                if child.ended_with is not None:
                    return Death(name, child.ended_with, child.log)
        return None

    def pids(self, name: str) -> list[int]:
        """Give the process numbers of a program, its main process first."""
        with self._lock:
            process = self._children[name].process
        if process is None or process.poll() is not None:
            return []
        try:
            main = psutil.Process(process.pid)
            return [main.pid, *(child.pid for child in main.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    def stop(self, *, at_once: threading.Event | None = None) -> None:
        """Stop all programs in their order; those still there in the end are killed."""
        self._ending.set()
        if self._monitor.is_alive():
            self._monitor.join()
        with self._lock:
            running = [child for child in self._children.values() if child.process]
            for order in sorted({child.program.stop_order for child in running}):
                self._stop_together([c for c in running if c.program.stop_order == order], at_once)
            self._record()

    def _stop_together(self, children: Sequence[_Child], at_once: threading.Event | None) -> None:
        began = time.monotonic()
        for child in children:
            if child.process and child.process.poll() is None:
                child.process.terminate()
        for child in children:
            deadline = began + child.program.patience_s
            while child.process and child.process.poll() is None and time.monotonic() < deadline:
                if at_once and at_once.is_set():
                    break
                time.sleep(0.02)
            self._bury(child)

    def _bury(self, child: _Child) -> None:
        """Kill what is left of a program, its children included."""
        if child.process:
            kill_group(child.process.pid)
            child.process.wait()
            child.process = None

    def _spawn(self, child: _Child) -> None:
        child.log.parent.mkdir(exist_ok=True)
        with child.log.open("ab") as output:
            child.process = subprocess.Popen(
                child.program.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.root,
                env=dict(self.environment) | {MARK: str(self.data_dir)},
                start_new_session=True,
            )
        child.began, child.ended_with = time.monotonic(), None
        self._record()

    def _watch(self) -> None:
        while not self._ending.wait(0.1):
            with self._lock:
                for child in self._children.values():
                    self._look_at(child)
            self._read_logs()
        self._read_logs()

    def _look_at(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process and (code := child.process.poll()) is not None:
            wait_s = child.backoff.next_wait_s(ran_s=now - child.began)
            child.due, child.ended_with = now + wait_s, code
            self._bury(child)
            if self.restarts:
                self.tell(
                    f"{child.program.name} ended ({how_ended(code)}); starting it again in "
                    f"{wait_s:.0f} s (log: {child.log})"
                )
        elif child.process is None and self.restarts and now >= child.due:
            self._spawn(child)

    def _read_logs(self) -> None:
        """Hand new log lines on, and keep each log within bounds."""
        for name, child in self._children.items():
            size = _size(child.log)
            start = self._read_to.get(name, 0)
            if self.on_log and size > start:
                with child.log.open("rb") as file:
                    file.seek(start)
                    data = file.read(min(size - start, 1 << 20))
                whole, newline, _ = data.rpartition(b"\n")
                self._read_to[name] = start + len(whole) + len(newline)
                for line in whole.decode("utf-8", "replace").splitlines():
                    self.on_log(name, line)
            if size > BIGGEST_LOG_BYTES:
                child.log.with_suffix(".log.1").write_bytes(child.log.read_bytes())
                os.truncate(child.log, 0)
                self._read_to[name] = 0

    def _record(self) -> None:
        path = _record_of(self.data_dir)
        running = {name: c.process.pid for name, c in self._children.items() if c.process}
        if running:
            draft = path.with_suffix(".new")
            draft.write_text(json.dumps(running), "utf-8")
            draft.replace(path)
        else:
            path.unlink(missing_ok=True)


def kill_group(pid: int) -> None:
    """Kill a process group; its number cannot be reused while a member lives."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def stop_leftovers(data_dir: Path, tell: Tell) -> None:
    """Stop the processes that a killed run left behind, then forget them."""
    path = _record_of(data_dir)
    try:
        recorded = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        recorded = {}
    groups = {pid: name for name, pid in recorded.items()}
    members = _members(groups, data_dir) if groups else []
    if members:
        names = sorted({groups[os.getpgid(process.pid)] for process in members})
        tell(f"Stopping {', '.join(names)}, left behind by an earlier run")
        for number, patience_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            for process in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            members = [process for process in members if not ends_within(process, patience_s)]
    path.unlink(missing_ok=True)


def _members(groups: Mapping[int, str], data_dir: Path) -> list[psutil.Process]:
    """Find the live members of recorded groups that carry this data directory's mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            recorded = os.getpgid(process.pid) in groups and is_alive(process)
            if recorded and process.environ().get(MARK) == str(data_dir):
                found.append(process)
    return found


def _record_of(data_dir: Path) -> Path:
    return data_dir / "run" / "processes.json"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _rotate(log: Path) -> None:
    """Keep one older log."""
    if _size(log) > BIGGEST_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
