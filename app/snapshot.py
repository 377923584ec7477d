"""A snapshot: a value read from the database by a thread, there for requests that ask nobody."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.database import transaction

log = structlog.get_logger()

T = TypeVar("T")


class Snapshot(Generic[T]):
    """Keep a value that is at most a few seconds old.

    `read` gets the session and the value known so far. While the database is away that one stays,
    and the database is asked every second until the first value is there.
    """

    def __init__(
        self,
        engine: Engine,
        read: Callable[[Session, T], T],
        start: T,
        *,
        name: str,
        refresh_s: float = 3.0,
    ) -> None:
        self.value = start
        self._engine = engine
        self._read = read
        self._name = name
        self._refresh_s = refresh_s
        self._tried = threading.Event()
        self._loaded = threading.Event()
        #: Whether the last read failed: there may be something newer than `value`.
        self.is_stale = False
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None

    def watch(self) -> None:
        """Begin to read, once in each process: threads do not survive a fork."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid():
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                self._pid = os.getpid()

    def stop(self) -> None:
        """Let the thread end after what it does now."""
        self._stopped.set()
        self._wanted.set()

    def refresh(self) -> None:
        """Read the value now. Raises whatever keeps it from being read; then it is stale."""
        try:
            with transaction(self._engine) as session:
                self.value = self._read(session, self.value)
            self.is_stale = False
            self._loaded.set()
        except Exception:
            self.is_stale = True
            raise
        finally:
            self._tried.set()

    def wait(self, patience_s: float) -> bool:
        """Wait for the first read to end, and tell whether there is a value."""
        return self._tried.wait(patience_s) and self._loaded.is_set()

    def want(self) -> None:
        """Ask for a value that is newer than the known one, without waiting for it."""
        self._wanted.set()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                self.refresh()
            # Whatever it is: a thread that ended here would be missed by nobody.
            except Exception as error:
                if self._stopped.is_set():
                    return
                log.warning("snapshot_not_read", name=self._name, error=type(error).__name__)
            # However often a value is wanted, it is read once a second at the most.
            self._stopped.wait(1)
            self._wanted.wait(self._refresh_s - 1 if self._loaded.is_set() else 0)
            self._wanted.clear()
