"""Write batches into a spool's file, those of several threads in one commit.

A commit waits for the disk, and costs the same for one batch and for many: threads that come while
one writes are written together by the next one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fail_points import fail_point
from spool.file import FAULTS, connect, ensure_file, read_used_bytes

#: When it came, events, days, counts and body.
Row = tuple[float, int, str, str, bytes]
#: What a row takes besides its body, at most.
_ROW_BYTES = 200


class SpoolError(Exception):
    """The spool cannot be used: the disk is full or read-only, or the file broken or not ours."""


class SpoolFullError(SpoolError):
    """The spool holds as much as it may."""


@dataclass(slots=True)
class _Waiting:
    """A batch that a thread wants written, and why it was not."""

    row: Row
    written: bool = False
    error: SpoolError | None = None

    @property
    def is_settled(self) -> bool:
        return self.written or self.error is not None

    @property
    def size_bytes(self) -> int:
        return len(self.row[-1]) + _ROW_BYTES


class SpoolWriter:
    """Write to one file, up to `max_bytes` in all; it is made with the first batch."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._queue: list[_Waiting] = []
        self._turn = threading.Condition()
        self._writing = False
        self._connection: sqlite3.Connection | None = None
        #: The process that opened `_connection`, and the file.
        self._opened = (0, 0)

    def write(self, row: Row) -> None:
        """Write a row. When this returns it is on the disk; raises SpoolError if not."""
        mine = _Waiting(row)
        if group := self._wait_for_turn(mine):
            try:
                self._write(group)
            finally:
                self._end_turn(group)
        if mine.error is not None:
            raise mine.error

    def _wait_for_turn(self, mine: _Waiting) -> list[_Waiting]:
        """Wait until another thread has written a batch, or give all that this one has to write."""
        with self._turn:
            self._queue.append(mine)
            while self._writing and not mine.is_settled:
                self._turn.wait()
            if mine.is_settled:
                return []
            self._writing = True
            group, self._queue = self._queue, []
            return group

    def _end_turn(self, group: Sequence[_Waiting]) -> None:
        for item in group:
            if not item.is_settled:
                item.error = SpoolError("the thread that wrote it was stopped")
        with self._turn:
            self._writing = False
            self._turn.notify_all()

    def _write(self, group: Sequence[_Waiting]) -> None:
        """Write batches in one transaction, those that there is room for."""
        try:
            connection = self._open()
            fitting = self._choose_fitting(connection, group)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    "INSERT INTO batches (spooled_at, events, days, counts, body) "
                    "VALUES (?, ?, ?, ?, ?)",
                    [item.row for item in fitting],
                )
                fail_point("spool.before_commit")
            fail_point("spool.committed")
        except FAULTS as error:
            self._close()
            for item in group:
                item.error = SpoolError(str(error))
            return
        for item in fitting:
            item.written = True

    def _choose_fitting(
        self, connection: sqlite3.Connection, group: Sequence[_Waiting]
    ) -> list[_Waiting]:
        room = self._max_bytes - read_used_bytes(connection)
        fitting = []
        for item in group:
            if item.size_bytes > room:
                item.error = SpoolFullError(f"it holds its {self._max_bytes:,} bytes")
            else:
                room -= item.size_bytes
                fitting.append(item)
        return fitting

    def _open(self) -> sqlite3.Connection:
        """Give the connection for writing; after a fork, or for another file, a new one."""
        ensure_file(self._path)
        current = (os.getpid(), self._path.stat().st_ino)
        if self._connection is None or self._opened != current:
            self._close()
            self._connection, self._opened = connect(self._path), current
        return self._connection

    def _close(self) -> None:
        if self._connection is not None and self._opened[0] == os.getpid():
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None
