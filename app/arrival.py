"""Let a request arrive before it is worked on, so that slow clients keep nobody waiting.

The server gives every request a thread at once, and the thread waits for the body. Few threads
would all wait for slow clients. So many wait, and few of those whose request is there work: see
`places`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from threading import Condition
from time import monotonic
from typing import Any

from app.body import cut_off
from app.errors import Problem, problem_response
from app.slow_clients import SlowClients

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: Bodies up to this size may be read by all threads at once; larger ones share BODY_ROOM.
SMALL_BYTES = 65_536
BODY_ROOM = 134_217_728
ROOM_WITHIN_S = 10.0


class Arrival:
    """Read each request's body in its thread, then hand the request on."""

    def __init__(self, behind: WsgiApp, *, max_bytes: int, slow_clients: SlowClients) -> None:
        self._behind = behind
        self._max_bytes = max_bytes
        self._slow_clients = slow_clients
        self._room = _Room(max(BODY_ROOM, max_bytes))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        reserved = 0
        try:
            size = self._size_of(environ)
            if size:
                with self._slow_clients.waiting():
                    stream = environ["wsgi.input"]
                    body = _read(stream, min(size, SMALL_BYTES))
                    if len(body) == SMALL_BYTES < size:
                        self._room.take(size, within_s=ROOM_WITHIN_S)
                        reserved = size
                        body += _read(stream, size - SMALL_BYTES)
                if len(body) < size and environ.get("CONTENT_LENGTH"):
                    # Some servers give what came, as if it were all.
                    raise cut_off()
                environ["wsgi.input"] = BytesIO(body)
                if "HTTP_TRANSFER_ENCODING" not in environ:
                    # It ends by itself, so nobody needs to count what they read of it.
                    environ["wsgi.input_terminated"] = True
            with self._slow_clients.working(environ.get("REMOTE_ADDR", "")):
                return self._behind(environ, start_response)
        except Problem as problem:
            return problem_response(problem)(environ, start_response)
        finally:
            if reserved:
                self._room.give(reserved)

    def _size_of(self, environ: dict[str, Any]) -> int:
        """Give how many bytes to read at most: none of a body that will be refused for its size."""
        declared = environ.get("CONTENT_LENGTH", "")
        if declared:
            size = int(declared) if declared.isascii() and declared.isdigit() else 0
            return size if size <= self._max_bytes else 0
        # One more than the limit: whoever reads it finds that it is too large.
        return self._max_bytes + 1 if "HTTP_TRANSFER_ENCODING" in environ else 0


class _Room:
    """Bytes of memory that large bodies share."""

    def __init__(self, size_bytes: int) -> None:
        self._free = size_bytes
        self._changed = Condition()

    def take(self, size: int, *, within_s: float) -> None:
        """Wait for some of it. Raises Problem when there is none in time."""
        until = monotonic() + within_s
        with self._changed:
            while self._free < size:
                left_s = until - monotonic()
                if left_s <= 0 or not self._changed.wait(left_s):
                    raise Problem(
                        503,
                        "busy",
                        "too many large requests come in at once: please try again",
                        headers={"Retry-After": "5"},
                    )
            self._free -= size

    def give(self, size: int) -> None:
        """Give it back."""
        with self._changed:
            self._free += size
            self._changed.notify_all()


def _read(stream: Any, size: int) -> bytes:
    try:
        return bytes(stream.read(size))
    except Exception:
        raise cut_off() from None
