"""The fast lane: ingestion requests are answered before Flask makes its contexts for them.

Routing and contexts cost Flask as much as judging some twenty events. Our own doors have a view of
the same path too, which runs the same function and documents it; those of other systems' dialects
are documented by these systems and answer here alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wrappers import Response

from app.cors import answer_preflight, cors_headers
from app.door_wsgi import DoorRequest, send
from app.doors import (
    activity,
    cloudevents,
    native,
    posthog,
    posthog_browser,
    posthog_v1,
    segment,
    segment_settings,
)
from app.doors.routes import Doors, Routes
from app.errors import Problem, error_response
from app.places import Places
from app.state import State
from fail_points import fail_point

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

ROUTES = Routes.of(
    native.ROUTES,
    activity.ROUTES,
    segment.ROUTES,
    segment_settings.ROUTES,
    posthog.ROUTES,
    posthog_v1.ROUTES,
    posthog_browser.ROUTES,
    cloudevents.ROUTES,
)
#: Answers only below DOOR_PREFIX.
SHORT_ROUTES = Routes.of(native.SHORT_ROUTES)
#: Asks nobody, so it waits for nobody: who gets no answer here restarts the process.
_LIVENESS = "/healthz"
#: Wait for servers for a moment only, and are asked above all when these answer nobody else.
_PROBES = frozenset({"/readyz", "/metrics"})
#: How long a question waits for those before it, and a probe.
OTHERS_WITHIN_S, PROBES_WITHIN_S = 10.0, 5.0
_SLASHES = re.compile("/{2,}")


class IngestionLane:
    """Answer requests to the doors and browsers that ask before; hand all else to the app behind.

    Each path answers as it is and below `prefix`, whose name is on no block list. The doors have
    places of their own, and so have probes: a database that does not answer holds those of all
    else. Who waits for these too long is told to come again.
    """

    def __init__(self, behind: WsgiApp, state: State, *, prefix: str) -> None:
        self._behind = behind
        self._state = state
        self._prefix = prefix
        self.doors = Places()
        self.others = Places(within_s=OTHERS_WITHIN_S)
        self.probes = Places(within_s=PROBES_WITHIN_S)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333). Raises Problem when there is no place for it."""
        path = environ["PATH_INFO"]
        if "//" in path:
            # An SDK whose host was given with a slash at its end.
            path = _SLASHES.sub("/", path)
        doors = self._find(path)
        if doors is None:
            if path == _LIVENESS:
                return self._behind(environ, start_response)
            with (self.probes if path in _PROBES else self.others).taken():
                return self._behind(environ, start_response)
        environ["PATH_INFO"] = path
        with self.doors.taken():
            return self._answer_door(environ, start_response, doors)

    def _answer_door(
        self, environ: dict[str, Any], start_response: Any, doors: Doors
    ) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS" and method not in doors:
            return answer_preflight(environ, doors)(environ, start_response)
        response = self._answer(environ, doors, "GET" if method == "HEAD" else method)
        if method != "OPTIONS":
            response.headers.extend(cors_headers(environ))
        fail_point("door.before_answer")
        return send(response, environ, start_response)

    def _find(self, path: str) -> Doors | None:
        found = ROUTES.find(path)
        if found is not None or not self._prefix or not path.startswith(self._prefix):
            return found
        rest = path[len(self._prefix) :]
        return ROUTES.find(rest) or SHORT_ROUTES.find(rest)

    def _answer(self, environ: dict[str, Any], doors: Doors, method: str) -> Response:
        try:
            door = doors.get(method)
            if door is None:
                allowed = ", ".join(sorted({*doors, "OPTIONS"}))
                raise Problem(
                    405,
                    "method_not_allowed",
                    f"programs send events here, by {' or '.join(sorted(doors))}: not by {method}",
                    headers={"Allow": allowed},
                )
            return door(DoorRequest(environ), self._state)
        except Exception as error:
            return error_response(error)
