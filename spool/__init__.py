"""The spool: batches that were accepted while the inbox could not be reached, on this disk.

An SQLite file in write-ahead mode whose commits are synchronised: what `put` has written outlives
the process, the machine and its power. All web processes of a machine share one spool. A feeder
moves its batches into the inbox, oldest first.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from inbox import Batch
from spool.file import FAULTS, check_disk, connect, read_used_bytes
from spool.writer import SpoolError, SpoolFullError, SpoolWriter

__all__ = ["Spool", "SpoolDepth", "SpoolError", "SpoolFullError"]


@dataclass(frozen=True, slots=True)
class SpoolDepth:
    """How much waits in the spool."""

    batches: int = 0
    size_bytes: int = 0
    oldest_age_s: float = 0.0


class Spool:
    """Keep batches in a folder, up to `max_bytes`. The folder is made with the first batch."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._path = folder / "batches.sqlite3"
        self._writer = SpoolWriter(self._path, max_bytes=max_bytes)

    def put(self, body: bytes, *, events: int, days: Sequence[date], counts: str = "") -> None:
        """Keep a batch. When this returns it is on the disk; raises SpoolError if not."""
        self._writer.write((time.time(), events, ",".join(map(str, days)), counts, body))

    def read(self, *, count: int, max_bytes: int, after: int = 0) -> list[Batch]:
        """Give the oldest batches, up to a count and a size, and one at the least if any waits."""
        if not self.exists():
            return []
        found: list[Batch] = []
        size = 0
        with self._open() as connection:
            rows = connection.execute(
                "SELECT id, events, days, counts, body FROM batches WHERE id > ? "
                "ORDER BY id LIMIT ?",
                (after, count),
            )
            for row in rows:
                size += len(row[-1])
                if found and size > max_bytes:
                    break
                found.append(_batch(row))
        return found

    def remove(self, batches: Sequence[Batch]) -> None:
        """Take out batches that `read` gave, the oldest. Hold `taking` from one to the other."""
        with self._open() as connection:
            connection.execute("DELETE FROM batches WHERE id <= ?", (int(batches[-1].entry_id),))

    def scan(self) -> Iterator[Batch]:
        """Give every batch, oldest first. Hold `taking` meanwhile."""
        last = 0
        while batches := self.read(count=100, max_bytes=1 << 20, after=last):
            yield from batches
            last = int(batches[-1].entry_id)

    def rewrite(self, batch: Batch, body: bytes | None, *, taken: int) -> None:
        """Put a batch without `taken` of its events in the place of another, None for no event.

        The old one is overwritten on the disk. What its door counted still has to be added up.
        """
        with self._open() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(
                "UPDATE batches SET body = ?, events = ? WHERE id = ?",
                (body or b'{"events":[]}', batch.events - taken, int(batch.entry_id)),
            )
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def shrink(self) -> None:
        """Give the room of what was taken out back to the disk."""
        with self._open() as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def exists(self) -> bool:
        """Tell whether there ever was a batch."""
        return self._path.exists()

    def read_depth(self) -> SpoolDepth:
        """Measure the spool. Raises SpoolError."""
        if not self.exists():
            return SpoolDepth()
        with self._open() as connection:
            # Batches leave oldest first: their numbers need not be counted one by one.
            first, last, since = connection.execute(
                "SELECT min(id), max(id), (SELECT spooled_at FROM batches ORDER BY id LIMIT 1) "
                "FROM batches"
            ).fetchone()
            if first is None:
                return SpoolDepth()
            size_bytes = read_used_bytes(connection)
        return SpoolDepth(last - first + 1, size_bytes, max(0.0, time.time() - since))

    def check_disk(self) -> None:
        """Raise SpoolError when its folder cannot be written, or its disk is full."""
        try:
            check_disk(self.folder)
        except OSError as error:
            raise SpoolError(str(error)) from error

    @contextmanager
    def taking(self, *, wait: bool = False) -> Iterator[bool]:
        """Hold the right to take batches out or change them; False when another process has it."""
        try:
            lock = os.open(self.folder / "taking.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            # There never was a batch.
            yield True
            return
        except OSError as error:
            raise SpoolError(str(error)) from error
        try:
            yield _lock(lock, wait=wait)
        finally:
            # Said aloud: a process that was forked meanwhile has the same lock.
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open a connection of one's own. Raises SpoolError."""
        try:
            with closing(connect(self._path)) as connection:
                yield connection
        except FAULTS as error:
            raise SpoolError(str(error)) from error


def _lock(file: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _batch(row: tuple[int, int, str, str, bytes]) -> Batch:
    entry_id, events, days, counts, body = row
    return Batch(
        entry_id=str(entry_id),
        events=events,
        days=tuple(map(date.fromisoformat, days.split(","))) if days else (),
        body=body,
        counts=counts,
    )
