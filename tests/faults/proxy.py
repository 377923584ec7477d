"""A TCP proxy that can be slow, deaf, or lose what it carries.

It stands in front of the door, Redis or PostgreSQL. What it does to connections can be changed at
any time, for those that are open too.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CHUNK = 65_536

#: Where a connection leads: a host and port, or the path of a Unix socket.
Upstream = tuple[str, int] | str


@dataclass(slots=True)
class Behaviour:
    """What is done to connections."""

    #: Seconds that each piece waits, on its way there and back.
    latency_s: float = 0.0
    #: The share of pieces at which the connection is cut.
    cuts: float = 0.0
    #: Connections are accepted, and nothing goes on in either direction.
    half_open: bool = False
    #: The share of answers at which the connection is cut, after all of the question went on.
    loses_answers: float = 0.0


@dataclass
class Proxy:
    """Carry bytes between those who connect to `port` and the upstream."""

    upstream: Upstream
    seed: int = 0
    behaviour: Behaviour = field(default_factory=Behaviour)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._listener = socket.create_server((HOST, 0), backlog=256)
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def port(self) -> int:
        """Give the port to connect to."""
        return int(self._listener.getsockname()[1])

    @contextmanager
    def being(self, **changes: float) -> Iterator[None]:
        """Behave badly for a while."""
        for name, value in changes.items():
            setattr(self.behaviour, name, value)
        try:
            yield
        finally:
            self.behaviour = Behaviour()

    def cut_all(self) -> int:
        """Cut every connection; give how many there were."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            _cut(each)
        return len(sockets) // 2

    def close(self) -> None:
        """Take no more connections, and cut those there are."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        try:
            server = _connect(self.upstream)
        except OSError:
            client.close()
            return
        with self._lock:
            self._sockets |= {client, server}
        back = threading.Thread(target=self._pump, args=(server, client, True), daemon=True)
        back.start()
        self._pump(client, server, False)
        back.join()
        with self._lock:
            self._sockets -= {client, server}
        client.close()
        server.close()

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                now = self.behaviour
                while self.behaviour.half_open and not self._closed:
                    time.sleep(0.02)
                if now.latency_s:
                    time.sleep(now.latency_s)
                if self._chance.random() < (now.loses_answers if is_answer else now.cuts):
                    break
                target.sendall(data)
        _cut(source)
        _cut(target)


def _connect(upstream: Upstream) -> socket.socket:
    if isinstance(upstream, tuple):
        return socket.create_connection(upstream, timeout=None)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(upstream)
    return connection


def _cut(connection: socket.socket) -> None:
    # Whoever reads from it wakes up; closing alone would leave them there.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
