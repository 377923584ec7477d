"""Places to work at: more requests at once only get in each other's way.

One at a time runs Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from app.errors import Problem

PLACES = 4


class Places:
    """Let so many requests work at once; the others wait, first come, first served.

    They wait for `within_s` at most, or for as long as it takes when there is no such limit.
    """

    def __init__(self, count: int = PLACES, *, within_s: float | None = None) -> None:
        self.within_s = within_s
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    @property
    def free(self) -> int:
        """Count the places that nobody has."""
        return self._free.qsize()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a place and hold it. Raises Problem when there is none in time."""
        try:
            self._free.get(timeout=self.within_s)
        except Empty:
            raise Problem(
                503,
                "busy",
                "the requests before this one take too long: please try again",
                headers={"Retry-After": "5"},
            ) from None
        try:
            yield
        finally:
            self._free.put(None)
