"""The file of a spool: made whole, opened if it is one of ours, synchronised at each commit."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

#: Tell our files from others: "MRsp", and the layout below.
_APPLICATION_ID, _LAYOUT = 0x4D527370, 1
_TABLE = (
    "CREATE TABLE batches (id INTEGER PRIMARY KEY AUTOINCREMENT, spooled_at REAL NOT NULL, "
    "events INTEGER NOT NULL, days TEXT NOT NULL, counts TEXT NOT NULL, body BLOB NOT NULL)"
)
#: With less room on its disk a spool may not take the next batch and its log.
_LEAST_FREE_BYTES = 16 << 20
#: How long a process waits for another one's commit.
_BUSY_S = 2.0


class NotASpoolError(Exception):
    """A file stands in the spool's place that is none, or that another version made."""


#: What a disk or a file that is not as it should be raises.
FAULTS = (sqlite3.Error, OSError, NotASpoolError)


def connect(path: Path) -> sqlite3.Connection:
    """Open a spool's file. Raises sqlite3.Error, NotASpoolError."""
    connection = _open(path, mode="rw")
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        if (application, layout) != (_APPLICATION_ID, _LAYOUT):
            raise NotASpoolError("the file is no spool of this version")
    except BaseException:
        connection.close()
        raise
    return connection


def ensure_file(path: Path) -> None:
    """Make the file unless it exists: whole or not at all, and the first of several wins."""
    if path.exists():
        return
    folder = path.parent
    new_folder = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    try:
        with closing(_open(made, mode="rwc")) as connection:
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_LAYOUT}")
            connection.execute(_TABLE)
            connection.execute("PRAGMA journal_mode = WAL")
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink(missing_ok=True)
    _sync_folder(folder)
    if new_folder:
        _sync_folder(folder.parent)


def read_used_bytes(connection: sqlite3.Connection) -> int:
    """Give the size of the file without its free pages."""
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((pages - free) * size)


def check_disk(folder: Path) -> None:
    """Raise OSError when a folder, or where it is to be made, cannot be written or has no room."""
    place = next(found for found in (folder, *folder.absolute().parents) if found.exists())
    disk = os.statvfs(place)
    if disk.f_flag & os.ST_RDONLY or not os.access(place, os.W_OK):
        raise OSError(f"{place} cannot be written")
    if disk.f_bavail * disk.f_frsize < _LEAST_FREE_BYTES:
        raise OSError("its disk is full")


def _open(path: Path, *, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    # Anything less leaves the last commits to a power loss in write-ahead mode; the second line is
    # for macOS, where to synchronise does not reach the disk by itself.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    return connection


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power loss."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
