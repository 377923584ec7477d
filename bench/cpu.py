"""Count processor time by group of processes, those that ended in between included."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil

Seconds = dict[str, float]

#: Processes of PostgreSQL that write on behalf of all others.
_BACKGROUND = ("walwriter", "background writer", "checkpointer", "io worker")


class Meter:
    """Read the processor time of the stack: `pids` names each group's processes at this moment."""

    def __init__(self, pids: Mapping[str, Callable[[], Iterable[int]]], *, postmaster: int) -> None:
        self._pids = pids
        self._postmaster = postmaster

    def read(self) -> Seconds:
        """Give the seconds each group has used so far."""
        used = {name: sum(map(read_seconds, pids())) for name, pids in self._pids.items()}
        return {**used, "postgres": sum(map(read_seconds, self._tree()))}

    def read_copy(self, backend: int) -> float:
        """Give the seconds used by one backend and the processes that write for it."""
        writers = [pid for pid in self._tree() if _is_background(pid)]
        return sum(map(read_seconds, [backend, *writers]))

    def _tree(self) -> list[int]:
        return tree_of(self._postmaster)


def tree_of(pid: int) -> list[int]:
    """Give a process and all below it."""
    try:
        root = psutil.Process(pid)
        return [pid, *(child.pid for child in root.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def read_seconds(pid: int) -> float:
    """Give the processor time of a process and of its children that have ended."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        own = times.user + times.system
        if process.num_threads() == 1:
            own = _read_exactly(pid) or own
        return float(own + times.children_user + times.children_system)
    except psutil.NoSuchProcess:
        return 0.0


def _read_exactly(pid: int) -> float | None:
    """Read nanoseconds where Linux tells them; the usual figure counts hundredths of a second."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    return None


def _is_background(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(name in " ".join(psutil.Process(pid).cmdline()) for name in _BACKGROUND)
    return False


def spent(before: Seconds, after: Seconds) -> Seconds:
    """Give the difference of two readings by group."""
    return {name: after[name] - before[name] for name in after}
