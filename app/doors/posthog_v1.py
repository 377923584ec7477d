"""The door of PostHog's newest protocol: a verdict for each event, by the id it came with.

SDKs send again only what is answered with `retry`. Here a request is taken whole or refused whole:
what is not accepted would not be at the next try either.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import orjson
from werkzeug.wrappers import Request, Response

from app.body import read_sdk_body
from app.doors.dialects import in_dialect, parse_body
from app.doors.posthog import status_of, take_events
from app.doors.routes import Doors
from app.errors import Problem
from app.sender import is_declined
from app.state import State
from app.write_keys import read_bearer
from intake.dialects.posthog import from_v1
from intake.request import Reading

#: What is to be known of an event that is accepted, by what was found of its clock.
_WARNINGS = {
    "clamped": "timestamp_in_future: the time of arrival was taken",
    "wrong": "clock_wrong: the timestamp was left as it is",
}


def write_problem(problem: Problem) -> Response:
    """Answer an error as this protocol has it."""
    status, headers = status_of(problem)
    answer = {
        "error": problem.code,
        "error_description": problem.detail,
        "error_uri": "about:blank",
    }
    return Response(
        orjson.dumps(answer), status=status, mimetype="application/json", headers=headers
    )


def answer_batch(request: Request, here: State) -> Response:
    """Take a batch and answer for each of its events."""
    document = parse_body(read_sdk_body(request, max_bytes=here.settings.max_request_bytes))
    messages = document.get("batch") if isinstance(document, dict) else None
    if not isinstance(messages, list):
        raise Problem(400, "no_batch", 'the body must be {"batch": [event, …]}')
    if is_declined(request, here):
        return _write_results({uuid: {"result": "ok"} for uuid in map(_uuid_of, messages) if uuid})
    reading = take_events(
        request,
        here,
        messages,
        key=_read_key(request),
        sent_at=request.headers.get("PostHog-Request-Timestamp"),
        is_history=document.get("historical_migration") is True,
        prepare=partial(from_v1, sdk=request.headers.get("PostHog-Sdk-Info", "")),
    )
    return _write_results(_judge(messages, reading))


def _read_key(request: Request) -> str:
    found = read_bearer(request)
    if not found:
        raise Problem(401, "key_required", "send Authorization: Bearer and a write key")
    return found


def _judge(messages: list[Any], reading: Reading) -> dict[str, dict[str, str]]:
    """Give the verdicts by the ids of the events. One without an id is judged in silence."""
    rows = iter(reading.rows)
    verdicts: dict[str, dict[str, str]] = {}
    for message, result in zip(messages, reading.results, strict=True):
        if result["status"] == "ok":
            details = _WARNINGS.get(next(rows).clock or "")
            verdict = {"result": "warning", "details": details} if details else {"result": "ok"}
        else:
            verdict = {"result": "drop", "details": f"{result['reason']}: {result['detail']}"}
        uuid = _uuid_of(message)
        if uuid is not None:
            verdicts[uuid] = verdict
    return verdicts


def _uuid_of(message: Any) -> str | None:
    uuid = message.get("uuid") if isinstance(message, dict) else None
    return uuid if isinstance(uuid, str) and _is_writable(uuid) else None


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _write_results(results: dict[str, dict[str, str]]) -> Response:
    return Response(orjson.dumps({"results": results}), status=200, mimetype="application/json")


ROUTES: dict[str, Doors] = {
    "/i/v1/analytics/events": {"POST": in_dialect(write_problem)(answer_batch)},
}
