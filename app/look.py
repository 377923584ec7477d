"""A look: what the database says now, for probes that may not wait for it.

A probe that waited in its own thread would keep that one for as long as the database is silent, and
probes come every few seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Generic, TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from models.database import transaction

T = TypeVar("T")

#: How long a probe waits for the database. Prometheus gives up after ten seconds by default.
LOOK_WITHIN_S = 2.0


class SilentError(Exception):
    """The database did not answer in time."""

    def __init__(self, within_s: float) -> None:
        super().__init__(f"does not answer in {within_s:g} s")


class Look(Generic[T]):
    """Read something from the database in a thread of its own, one at a time.

    Who asks while it is read gets what is found then. The engine should keep no connections: only
    to make one has a limit when the server is frozen.
    """

    def __init__(self, engine: Engine, read: Callable[[Session], T], *, name: str) -> None:
        self.within_s = LOOK_WITHIN_S
        self._engine = engine
        self._read = read
        self._name = name
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None
        self._until = 0.0

    def ask(self) -> T:
        """Read it now. Raises SilentError, and SQLAlchemyError when it cannot be read."""
        with self._lock:
            look = self._under_way
            if look is None or look.done():
                look = Future()
                threading.Thread(
                    target=self._work, args=(look,), name=self._name, daemon=True
                ).start()
                # Only now: nobody would end the look of a thread that did not start.
                self._under_way, self._until = look, monotonic() + self.within_s
            left_s = self._until - monotonic()
        try:
            return look.result(max(left_s, 0.0))
        except TimeoutError:
            raise SilentError(self.within_s) from None

    def _work(self, look: Future[T]) -> None:
        try:
            with transaction(self._engine) as session:
                session.execute(
                    text("SELECT set_config('statement_timeout', :limit, true)"),
                    {"limit": f"{self.within_s * 1000:.0f}"},
                )
                found = self._read(session)
        except Exception as error:
            look.set_exception(error)
        else:
            look.set_result(found)
