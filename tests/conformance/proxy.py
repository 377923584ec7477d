"""An HTTP proxy that goes wrong on purpose, and remembers every request.

Faults befall only requests that carry an event of the scenario: what an SDK asks for before that,
its settings or a browser's preflight, goes through.
"""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs

#: A word in the properties of every event that a scenario sends.
MARK = "conformance-"
#: These belong to one connection (RFC 9110, 7.6.1) or are written anew.
_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer in the upstream's place, which never sees the request."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DropAnswer:
    """Hand the request on, then break the connection in place of the answer."""


@dataclass(frozen=True, slots=True)
class HoldAnswer:
    """Hand the request on, and the answer back after a while."""

    seconds: float


Fault = Answer | DropAnswer | HoldAnswer


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and how it ended; status 0: no answer came through.

    `accepted` tells whether the upstream took it, whatever was answered.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    text: str
    status: int
    accepted: bool

    @property
    def is_gzipped(self) -> bool:
        """Tell whether the body came packed."""
        return self.body[:2] == b"\x1f\x8b"


@dataclass
class Proxy:
    """What a proxy will do wrong, and what it has seen."""

    upstream: tuple[str, int]
    faults: list[Fault]
    exchanges: list[Exchange] = field(default_factory=list)
    port: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        """Give the address that an SDK is pointed at."""
        return f"http://127.0.0.1:{self.port}"

    def deliveries(self) -> list[Exchange]:
        """Give the requests that carried events of the scenario."""
        with self.changed:
            return [exchange for exchange in self.exchanges if MARK in exchange.text]

    def attempts(self, mark: str) -> list[int]:
        """Give the status of each attempt to deliver one event."""
        return [exchange.status for exchange in self.deliveries() if f'"{mark}"' in exchange.text]

    def wait_until_settled(self, marks: Sequence[str], *, within_s: float) -> None:
        """Wait until every event was answered for good: neither not at all nor with a 5xx."""

        def settled() -> bool:
            return all(0 < (self.attempts(mark) or [0])[-1] < 500 for mark in marks)

        with self.changed:
            self.changed.wait_for(settled, timeout=within_s)

    def wait_until_accepted(self, marks: Sequence[str], *, within_s: float) -> None:
        """Wait until the upstream has taken every event, though nobody may hear of it."""

        def accepted() -> bool:
            texts = [each.text for each in self.exchanges if each.accepted]
            return all(any(f'"{mark}"' in text for text in texts) for mark in marks)

        with self.changed:
            self.changed.wait_for(accepted, timeout=within_s)

    def next_fault(self, text: str) -> Fault | None:
        """Take the next fault when the request carries an event."""
        with self.changed:
            return self.faults.pop(0) if MARK in text and self.faults else None

    def note(self, exchange: Exchange) -> None:
        """Remember a request."""
        with self.changed:
            self.exchanges.append(exchange)
            self.changed.notify_all()


@contextmanager
def running_proxy(upstream: tuple[str, int], faults: Sequence[Fault] = ()) -> Iterator[Proxy]:
    """Run a proxy in threads of its own, on a free port."""
    proxy = Proxy(upstream, list(faults))
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        proxy.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield proxy
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    proxy: ClassVar[Proxy]
    accepted = False
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle(self) -> None:
        # An SDK that has all it wants may reset the connection.
        with suppress(ConnectionError):
            super().handle()

    def _answer(self) -> None:
        body = self._read_body()
        text = readable(body)
        fault = self.proxy.next_fault(text)
        self.accepted = False
        try:
            status = self._do(fault, body)
        except (OSError, http.client.HTTPException):
            # Whoever asked has gone, or the upstream has.
            self.close_connection = True
            status = 0
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.proxy.note(
            Exchange(self.command, self.path, headers, body, text, status, self.accepted)
        )

    do_GET = do_POST = do_OPTIONS = do_HEAD = do_PUT = _answer

    def _do(self, fault: Fault | None, body: bytes) -> int:
        if isinstance(fault, Answer):
            return self._reply(fault.status, [*fault.headers, *self._cors()], b"{}")
        status, headers, answer = self._forward(body)
        self.accepted = 200 <= status < 300
        if isinstance(fault, DropAnswer):
            self._break()
            return 0
        if isinstance(fault, HoldAnswer):
            threading.Event().wait(fault.seconds)
        return self._reply(status, headers, answer)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.proxy.upstream, timeout=30)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in _OWN:
                    connection.putheader(name, value)
            if self.headers.get("Transfer-Encoding"):
                # An SDK that sends in chunks must reach a server that reads them.
                connection.putheader("Transfer-Encoding", "chunked")
                connection.endheaders(message_body=iter([body]), encode_chunked=True)
            else:
                if body or self.command == "POST":
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(message_body=body)
            answer = connection.getresponse()
            headers = [pair for pair in answer.getheaders() if pair[0].lower() not in _OWN]
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def _reply(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)
        return status

    def _cors(self) -> list[tuple[str, str]]:
        # Without it a page would not see the status, only that something failed.
        origin = self.headers.get("Origin")
        allowed = [("Access-Control-Allow-Origin", origin)] if origin else []
        return [*allowed, ("Access-Control-Expose-Headers", "Retry-After")]

    def _break(self) -> None:
        # Closed with bytes unsent the system sends a reset, as a dying server does.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True


def readable(body: bytes) -> str:
    """Give a body's text: unpacked, out of a form, its JSON written in one way."""
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    elif body[:1] == b"\x78":
        body = zlib.decompress(body)
    text = body.decode("utf-8", "replace")
    if text.startswith("data="):
        text = parse_qs(text)["data"][0]
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text
