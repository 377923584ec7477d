"""Millrace behind a loopback port, with faults: each request may meet the next one."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass(frozen=True)
class Seen:
    """One request as the server got it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    peer: int

    @property
    def ids(self) -> list[str]:
        return [event.get("event_id") or event["message_id"] for event in self.body["events"]]


class FaultyServer:
    """A server whose next requests meet the faults that a test names; the others pass.

    It keeps connections, as the servers that people run do, and Werkzeug's does not.
    """

    def __init__(self, app: WsgiApp, *, tls: ssl.SSLContext | None = None) -> None:
        self.app = app
        self.faults: deque[Fault] = deque()
        self.seen: list[Seen] = []
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, self))
        if tls is not None:
            # The handshake is the handler's: a client that breaks it off must not stop the server.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FaultyServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more connections, and end the requests that are under way."""
        self._server.shutdown()
        self._thread.join()
        for connection in list(self._server.connections):
            # A process that was forked may hold the client's end open for ever.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    # Closing waits for the threads of its connections.
    daemon_threads = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember a connection until it is closed."""
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer in two pieces would wait for the client's delayed acknowledgement of the first.
    wbufsize = -1

    def __init__(self, owner: FaultyServer, *args: Any) -> None:
        self._owner = owner
        super().__init__(*args)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self._owner.seen.append(self._note(data))
        fault = self._owner.faults.popleft() if self._owner.faults else _passes
        try:
            response = fault(self._environ(data), self._owner.app)
        except ConnectionAbortedError:
            self.close_connection = True
            return
        self.send_response(response.status_code)
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.get_data())

    def _environ(self, data: bytes) -> dict[str, Any]:
        builder = EnvironBuilder(
            path=self.path, method="POST", headers=list(self.headers.items()), data=data
        )
        return {**builder.get_environ(), "REMOTE_ADDR": "127.0.0.1", "test.socket": self.connection}

    def _note(self, data: bytes) -> Seen:
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        return Seen(self.path, dict(self.headers), json.loads(data), self.client_address[1])

    def log_message(self, *_: object) -> None:
        """Print nothing."""


Fault = Callable[[dict[str, Any], WsgiApp], Response]


def answers(status: int, body: Any = None, **headers: str) -> Fault:
    """Answer with a status instead of Millrace."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def fault(environ: dict[str, Any], app: WsgiApp) -> Response:
        text = b"" if body is None else json.dumps(body).encode()
        return Response(text, status=status, headers=named, mimetype="application/json")

    return fault


def cuts_answer(environ: dict[str, Any], app: WsgiApp) -> Response:
    """Let Millrace accept the request, and end the connection without an answer."""
    accepted = Response.from_app(app, environ)
    assert accepted.status_code == 201
    return resets(environ, app)


def resets(environ: dict[str, Any], app: WsgiApp) -> Response:
    """End the connection with a reset."""
    connection: socket.socket = environ["test.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # What closes the connection now sends a reset.
    raise ConnectionAbortedError


def holds(release: threading.Event) -> Fault:
    """Keep the request waiting until the test releases it."""

    def fault(environ: dict[str, Any], app: WsgiApp) -> Response:
        release.wait(30)
        return Response.from_app(app, environ)

    return fault


def _passes(environ: dict[str, Any], app: WsgiApp) -> Response:
    return Response.from_app(app, environ)
