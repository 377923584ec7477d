"""The data directory: its parts, its lock, and where its sockets go."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cli.servers.account import owner_name
from cli.servers.process import ServerError, read_pid

# What a Unix socket's address holds, with the closing NUL taken off, on Linux (macOS: 103).
SOCKET_PATH_BYTES = 103
LONGEST_SOCKET = "pg/.s.PGSQL.5432"


def make_data_dir(data_dir: Path) -> None:
    """Make the data directory with its parts, or say why it cannot be written."""
    # Root's database runs as another account, which must be able to pass through.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        for part in (data_dir, data_dir / "run", data_dir / "log"):
            part.mkdir(mode=mode, parents=True, exist_ok=True)
        if not os.access(data_dir / "run", os.W_OK, effective_ids=True):
            raise PermissionError
    except PermissionError as error:
        owner = owner_name(nearest(data_dir).stat().st_uid)
        raise ServerError(
            f"{data_dir} cannot be written: it belongs to {owner}. Start as {owner}, or set "
            f"MILLRACE_DATA_DIR to a directory of your own."
        ) from error
    except OSError as error:
        raise ServerError(
            f"the data directory cannot be made: {error}. Set MILLRACE_DATA_DIR."
        ) from error


def nearest(path: Path) -> Path:
    """Give the path itself, or the closest of its parents that exists and can be seen."""
    return next(p for p in (path, *path.parents) if os.path.exists(p))


@contextlib.contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's lock; the kernel lets go of it however this process ends."""
    path = data_dir / "run" / "lock"
    descriptor = _lock(path)
    if descriptor is None:
        raise ServerError(
            f"{data_dir} is in use by another Millrace (process {read_pid(path)}). Stop that one, "
            f"or set MILLRACE_DATA_DIR, PORT and FLOWER_PORT for a second one."
        )
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def holder(data_dir: Path) -> int | None:
    """Give the process that holds the data directory, if any."""
    path = data_dir / "run" / "lock"
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_pid(path)
    finally:
        os.close(descriptor)
    return None


def _lock(path: Path) -> int | None:
    """Lock the file that is at `path` now: one removed by its last holder does not count."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)


def choose_run_dir(data_dir: Path) -> Path:
    """Give the directory of the sockets: inside the data directory if its path allows it.

    A socket's address holds about a hundred bytes, and the many tools that read such an
    address from a URL do not agree on how to write a space in it.
    """
    inside = data_dir / "run"
    plain = re.fullmatch(r"[\w./-]+", str(inside), re.ASCII)
    if plain and len(os.fsencode(inside / LONGEST_SOCKET)) <= SOCKET_PATH_BYTES:
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    outside = Path(tempfile.gettempdir()) / f"millrace-{os.geteuid()}-{name}"
    if len(os.fsencode(outside / LONGEST_SOCKET)) > SOCKET_PATH_BYTES:
        outside = Path("/tmp") / outside.name
    return outside


def make_run_dir(run_dir: Path) -> None:
    """Make the sockets' directory and refuse one that somebody else has put there."""
    run_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
    status = run_dir.lstat()
    if status.st_uid != os.geteuid() or run_dir.is_symlink():
        raise ServerError(
            f"{run_dir} belongs to {owner_name(status.st_uid)}. "
            f"Set MILLRACE_DATA_DIR to a shorter path."
        )
