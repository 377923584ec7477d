"""End the connections of clients whose request does not arrive: each would keep a thread for ever.

The server waits for a body without end, and tells nobody which connection it waits on. So Linux is
asked what has come and gone on the connections of this process: one that has received something
since the last answer, and had no answer for long, brings a request that does not end. On other
systems, and behind a Unix socket, the proxy in front must see to it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident

import structlog

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
#: With so many threads waiting, each client gets so many seconds at most.
CROWD = 128
CROWD_TIMEOUT_S = 5.0

#: Of `struct tcp_info` (linux/tcp.h): the state, the ages in milliseconds of the last data sent and
#: received, and how many bytes the peer has acknowledged and sent.
_TCP_INFO = struct.Struct("=B43xI4xI64xQQ")
_ESTABLISHED, _LISTEN = 1, 10


@dataclass(frozen=True, slots=True)
class Connection:
    """What the system tells of a connection that a client has made."""

    inode: int
    peer: str
    answered_bytes: int
    brings_request: bool


class SlowClients:
    """Know which threads wait for bodies and which work, and end what takes too long to arrive."""

    def __init__(self, *, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        # By thread; each thread writes its own entry only.
        self._waiting: dict[int, float] = {}
        self._working: dict[int, tuple[str, float]] = {}
        self._seen: dict[int, tuple[int, float]] = {}
        self._somebody_waits = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Note that this thread waits for a body."""
        if self._pid != os.getpid():
            self._start()
        self._waiting[get_ident()] = self._clock()
        if not self._somebody_waits.is_set():
            self._somebody_waits.set()
        try:
            yield
        finally:
            del self._waiting[get_ident()]

    @contextmanager
    def working(self, address: str) -> Iterator[None]:
        """Note that this thread has a whole request from an address: its answer may take long."""
        self._working[get_ident()] = address, self._clock()
        try:
            yield
        finally:
            del self._working[get_ident()]

    def end_slow(self) -> int:
        """Look at the connections once; give how many were ended.

        Nobody knows the connection of a request that is worked on. So while one takes longer than
        a look, the connections from its address are left alone. A request that came in one packet
        with the one before it, and one that was told to continue, look answered: when somebody
        waits for twice the timeout, whoever is silent may be the one.
        """
        now = self._clock()
        is_crowd = len(self._waiting) >= CROWD
        timeout_s = min(self._timeout_s, CROWD_TIMEOUT_S) if is_crowd else self._timeout_s
        oldest = min(list(self._waiting.values()), default=now)
        somebody_hides = now - oldest >= 2 * timeout_s
        at_work = {
            address
            for address, since in list(self._working.values())
            if now - since >= LOOK_EVERY_S
        }
        seen: dict[int, tuple[int, float]] = {}
        ended = 0
        for found, connection in read_connections():
            if not (found.brings_request or somebody_hides):
                continue
            answered_bytes, since = self._seen.get(found.inode, (found.answered_bytes, now))
            if answered_bytes != found.answered_bytes:
                since = now
            if now - since < timeout_s or found.peer in at_work:
                seen[found.inode] = found.answered_bytes, since
                continue
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
                ended += 1
        self._seen = seen
        return ended

    def _start(self) -> None:
        # Threads do not survive a fork, and servers may fork after loading the app.
        with self._lock:
            if self._pid != os.getpid():
                if sys.platform == "linux":
                    threading.Thread(target=self._watch, name="slow-clients", daemon=True).start()
                self._pid = os.getpid()

    def _watch(self) -> None:
        while True:
            self._somebody_waits.wait()
            time.sleep(LOOK_EVERY_S)
            if not self._waiting:
                self._somebody_waits.clear()
                # Whoever came before this line found it set.
                if self._waiting:
                    self._somebody_waits.set()
            oldest = min(list(self._waiting.values()), default=self._clock())
            # Hardly ever: bodies arrive with their headers.
            if self._clock() - oldest < LOOK_EVERY_S:
                self._seen = {}
                continue
            try:
                ended = self.end_slow()
            except (OSError, struct.error) as error:
                log.warning("connections_unreadable", error=type(error).__name__)
                continue
            if ended:
                log.warning("slow_clients_ended", connections=ended)


def read_connections() -> Iterator[tuple[Connection, socket.socket]]:
    """Give the connections that clients have made to this process; each is open for its turn."""
    ports: set[int] = set()
    for connection, _ in _sockets(_LISTEN):
        ports.add(connection.getsockname()[1])
    for connection, (_, sent_ms, received_ms, answered, received) in _sockets(_ESTABLISHED):
        if connection.getsockname()[1] in ports:
            found = Connection(
                inode=os.fstat(connection.fileno()).st_ino,
                peer=connection.getpeername()[0],
                answered_bytes=answered,
                # A connection may begin with its first packet: then both ages are the same.
                brings_request=received_ms < sent_ms or (received > 0 and answered == 0),
            )
            yield found, connection


def _sockets(state: int) -> Iterator[tuple[socket.socket, tuple[int, ...]]]:
    for number in map(int, os.listdir("/proc/self/fd")):
        # A descriptor may be closed at any moment, and its number used again. So it is doubled
        # first, and what is read and ended is what the double stands for.
        with contextlib.suppress(OSError):
            if not os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                continue
            with _double(number) as double:
                if double.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                info = double.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
                values = _TCP_INFO.unpack(info)
                if values[0] == state:
                    yield double, values


def _double(number: int) -> socket.socket:
    double = os.dup(number)
    try:
        return socket.socket(fileno=double)
    except OSError:
        # It is no socket any more.
        os.close(double)
        raise
