"""What is said of a path that is none: where somebody missed a door, which one and why.

An SDK that was given a wrong host tells its user little more than the answer; a page's console
speaks of CORS alone, unless the answer may be read there.
"""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from app.cors import answer_preflight, cors_headers
from app.errors import Problem, problem_response
from app.lane import ROUTES
from app.origin import read_origin
from app.state import state


def answer_not_found(error: NotFound) -> Response:
    """Answer 404, with the way to the door whose path was meant."""
    # The reading API has paths of the same ends.
    door = None if request.path.startswith("/api/") else find_near_door(request.path)
    if door is None:
        return problem_response(
            Problem(404, "not_found", "there is no such path: see GET / and /openapi.json")
        )
    if request.method == "OPTIONS":
        return answer_preflight(request.environ, ["GET", "POST"])
    detail = f"no events are taken at {request.path[:200]}, but at {door}: {_advice()}"
    # Segment's SDKs read `message`.
    response = problem_response(Problem(404, "not_found", detail, message=detail))
    response.headers.extend(cors_headers(request.environ))
    return response


def find_near_door(path: str) -> str | None:
    """Find the door's path that another path ends with, in letters of any size."""
    words = path.lower().strip("/").split("/")
    tails = ("/" + "/".join(words[first:]) for first in range(len(words)))
    return next((tail for tail in tails if ROUTES.find(tail)), None)


def _advice() -> str:
    settings = state().settings
    protocol, host = read_origin(request, trusted_proxies=settings.trusted_proxies)
    origin = f"{protocol}://{host}"
    hosts = f"{origin} or {origin}{settings.door_prefix}" if settings.door_prefix else origin
    return f"the host that an SDK is given here is {hosts}"
