"""Post bytes to the server: over a kept connection, or through a session of the application."""

from __future__ import annotations

import contextlib
import copy

# Sockets import it with the first connection. A fork in that moment would leave the child waiting
# for ever for an import that nobody ends.
import encodings.idna  # noqa: F401
import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit
from weakref import WeakSet

#: A connection that was idle for longer is not worth the risk that the server closed it.
_IDLE_S = 25.0
#: More is never read of an answer.
_MAX_ANSWER = 8 * 1024 * 1024

#: How a kept connection fails that the server has closed in the meantime.
_STALE = (http.client.RemoteDisconnected, http.client.BadStatusLine, ConnectionError)


class Answer(NamedTuple):
    """What the server said."""

    status: int
    body: bytes
    retry_after: str | None = None
    location: str | None = None


class Transport(Protocol):
    """How a request gets to the server. Safe to use from many threads."""

    def post(self, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> Answer:
        """Send a request; raise OSError or HTTPException when no answer comes."""

    def abort(self) -> None:
        """End the requests that are under way."""

    def close(self) -> None:
        """Close what is open, when no request is under way."""


class _Kept:
    """A connection of one thread, closed when the thread ends."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection = connection
        self.used_at = time.monotonic()
        self._process = os.getpid()

    def __del__(self) -> None:
        if os.getpid() == self._process:
            self.connection.close()
        elif self.connection.sock is not None:
            # A thread of the parent may have been reading when it forked: the reader's lock is
            # held for ever here, so only the descriptor is closed.
            os.close(self.connection.sock.detach())


class KeptConnections:
    """Transport of the standard library: one kept connection for each thread that sends."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path
        self._tls = ssl.create_default_context() if self._is_secure else None
        self._mine = threading.local()
        self._all: WeakSet[_Kept] = WeakSet()

    def post(self, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> Answer:
        """Send a request; a kept connection that went stale is replaced once, unnoticed.

        To send it again is safe: the events have their ids.
        """
        kept = self._reusable()
        if kept is not None:
            with contextlib.suppress(*_STALE):
                return self._send(kept, body, headers, timeout_s)
        return self._send(self._open(timeout_s), body, headers, timeout_s)

    def abort(self) -> None:
        """End the requests that are under way."""
        for kept in list(self._all):
            held = kept.connection.sock
            if held is not None:
                with contextlib.suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all connections; the next request opens one again."""
        for kept in list(self._all):
            kept.connection.close()

    def _reusable(self) -> _Kept | None:
        kept: _Kept | None = getattr(self._mine, "kept", None)
        if kept is None or kept.connection.sock is None:
            return None
        if time.monotonic() - kept.used_at > _IDLE_S:
            kept.connection.close()
            return None
        return kept

    def _open(self, timeout_s: float) -> _Kept:
        if self._tls is not None:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout_s, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        kept = _Kept(connection)
        self._mine.kept = kept
        self._all.add(kept)
        return kept

    def _send(
        self, kept: _Kept, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        connection = kept.connection
        try:
            if connection.sock is not None:
                connection.sock.settimeout(timeout_s)
            connection.request("POST", self._path, body=body, headers=dict(headers))
            response = connection.getresponse()
            answer = Answer(
                response.status,
                response.read(_MAX_ANSWER),
                response.getheader("Retry-After"),
                response.getheader("Location"),
            )
        except BaseException:
            connection.close()
            raise
        if not response.isclosed():
            # There is more than is ever read.
            response.close()
            connection.close()
        kept.used_at = time.monotonic()
        return answer


def renew_session(session: Any) -> Any:
    """Copy a requests session without its connections, which belong to the parent of a fork."""
    if not hasattr(session, "adapters"):
        return session
    renewed = copy.copy(session)
    renewed.adapters = {name: copy.copy(each) for name, each in session.adapters.items()}
    return renewed


class SessionTransport:
    """Transport over a requests session of the application."""

    def __init__(self, url: str, session: Any) -> None:
        self._url = url
        self._session = session

    def post(self, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> Answer:
        """Send a request. What requests raises is an OSError."""
        response = self._session.post(
            self._url, data=body, headers=dict(headers), timeout=timeout_s, allow_redirects=False
        )
        found = response.headers
        return Answer(
            response.status_code, response.content, found.get("Retry-After"), found.get("Location")
        )

    def abort(self) -> None:
        """Do nothing: a session's requests end by their time limit."""

    def close(self) -> None:
        """Do nothing: the session is the application's."""
