"""Named moments at which a test can make a process die, stop, wait or fail.

Nothing happens unless `enable` was called, which only MILLRACE_FAIL_POINTS_DIR does: then a file
with the name of a point, such as `drain.taken`, makes exactly one process do what the file says,
the next time that one passes the point.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


class FailPointError(OSError):
    """The error that `raise` asks for."""


@dataclass(slots=True)
class _Armed:
    directory: Path | None = None


_armed = _Armed()


def enable(directory: str) -> None:
    """Obey the files in a directory from now on; an empty name obeys nothing."""
    _armed.directory = Path(directory) if directory else None


def fail_point(name: str) -> None:
    """Pass a moment at which a test may want this process to fail."""
    if _armed.directory is not None:
        _pass(_armed.directory, name)


def arm(directory: Path, name: str, action: str) -> None:
    """Make the next process that passes a point do `kill`, `stop`, `sleep 5` …

    The file appears whole: who reads half a word would do nothing.
    """
    written = directory / f".{name}.{os.getpid()}"
    written.write_text(action)
    written.rename(directory / name)


def fired(directory: Path, name: str) -> list[int]:
    """Give the numbers of the processes that obeyed a point, oldest first."""
    found = sorted(directory.glob(f"{name}.fired.*"), key=lambda path: path.stat().st_mtime_ns)
    return [int(path.name.split(".")[-2]) for path in found]


def _pass(directory: Path, name: str) -> None:
    # Renaming is atomic: of many processes one finds the file.
    mine = directory / f"{name}.fired.{os.getpid()}.{time.monotonic_ns()}"
    with contextlib.suppress(FileNotFoundError):
        (directory / name).rename(mine)
        _do(name, mine.read_text().split())


def _do(name: str, words: list[str]) -> None:
    match words:
        case ["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["kill-parent"]:
            os.kill(os.getppid(), signal.SIGKILL)
        case ["stop"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        case ["sleep", seconds]:
            time.sleep(float(seconds))
        case ["raise"]:
            raise FailPointError(f"asked for at {name}")
        case ["exit"]:
            os._exit(1)
        case _:
            raise ValueError(f"{name} cannot do {' '.join(words)!r}")
