"""The fast lane: ingestion requests are answered before Flask makes its contexts for them.

Routing and contexts cost Flask as much as judging some twenty events. The view of the same path
runs the same function, and documents it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wrappers import Request, Response

from app.cors import PREFLIGHT, cors_headers
from app.doors import activity, native
from app.errors import error_response
from app.state import State

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
Door = Callable[[Request, State], Response]

DOORS: dict[str, Door] = {
    **dict.fromkeys(native.PATHS, native.answer_events),
    **dict.fromkeys(activity.LOG_PATHS, activity.answer_log),
    **dict.fromkeys(activity.BATCH_PATHS, activity.answer_log_batch),
}


class IngestionLane:
    """Answer POSTs to the doors and browsers that ask before; hand all else to the app behind."""

    def __init__(self, behind: WsgiApp, state: State) -> None:
        self._behind = behind
        self._state = state

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        door = DOORS.get(environ["PATH_INFO"])
        if door is None:
            return self._behind(environ, start_response)
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return Response(status=204, headers=PREFLIGHT)(environ, start_response)
        if method != "POST":
            return self._behind(environ, start_response)
        try:
            response = door(Request(environ), self._state)
        except Exception as error:
            response = error_response(error)
        response.headers.extend(cors_headers(environ))
        return response(environ, start_response)
