"""Places to work at: more requests at once only get in each other's way.

One at a time runs Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

PLACES = 4


class Places:
    """Let so many requests work at once; the others wait, first come, first served."""

    def __init__(self, count: int = PLACES) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)

    @property
    def free(self) -> int:
        """Count the places that nobody has."""
        return self._free.qsize()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a place and hold it."""
        self._free.get()
        try:
            yield
        finally:
            self._free.put(None)
