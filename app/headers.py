"""What every answer carries: headers that make browsers careful, and the request's id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from structlog.contextvars import bind_contextvars, unbind_contextvars
from werkzeug.wsgi import ClosingIterator

from app.request_id import choose_request_id
from leaving import LEAVING

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
Headers = list[tuple[str, str]]

_ALWAYS = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
#: Unless the answer has its own.
_CACHE = ("Cache-Control", "no-store")
_POLICY = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
_CLOSE = ("Connection", "close")
_HSTS = ("Strict-Transport-Security", "max-age=31536000")


class AnswerHeaders:
    """Add headers to whatever the app behind answers, and name the request in the log.

    A layer of WSGI and not a hook of Flask: the ingestion lane answers in front of Flask.
    """

    def __init__(self, behind: WsgiApp, *, trusted_proxies: int) -> None:
        self._behind = behind
        self._behind_proxy = trusted_proxies > 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        request_id = choose_request_id(environ)
        added = [*_ALWAYS, ("X-Request-ID", request_id)]
        if self._behind_proxy and _came_by_https(environ):
            added.append(_HSTS)
        if LEAVING.is_set():
            added.append(_CLOSE)

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            names = [name for name, _ in headers]
            if "Cache-Control" not in names:
                added.append(_CACHE)
            if "Content-Security-Policy" not in names:
                added.append(_POLICY)
            return start_response(status, headers + added, exc_info)

        bind_contextvars(request_id=request_id)
        try:
            answer = self._behind(environ, start)
        except BaseException:
            unbind_contextvars("request_id")
            raise
        if isinstance(answer, list):
            unbind_contextvars("request_id")
            return answer
        # A stream logs while the server reads it.
        return ClosingIterator(answer, lambda: unbind_contextvars("request_id"))


def _came_by_https(environ: dict[str, Any]) -> bool:
    """Believe the proxy: with proxies trusted, the last hop wrote the header's last word."""
    forwarded: str = environ.get("HTTP_X_FORWARDED_PROTO", "")
    return forwarded.rpartition(",")[2].strip().lower() == "https"
