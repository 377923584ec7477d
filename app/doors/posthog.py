"""The doors of PostHog's SDKs, but for the newest protocol: events in one of several envelopes.

Any success but 200 makes some of the SDKs send again, and overload is 503 for them: posthog-js
gives up what was answered with 429.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from werkzeug.wrappers import Request, Response

from app.doors.dialects import Parcel, in_dialect, is_of_browser, parse_body, take_parcel
from app.doors.posthog_payload import read_payload
from app.doors.routes import Doors
from app.errors import Problem
from app.sender import is_declined
from app.state import State
from intake.dialects.content import ContentNames
from intake.dialects.posthog import is_of_app, read_device, translate
from intake.messages import KEPT
from intake.request import Reading

_OK = b'{"status":1}'
_RETRY_AFTER_S = 2
#: Where a key may stand, in an envelope and in an event.
_KEYS = ("api_key", "token")
_EVENT_KEYS = ("token", "api_key", "$token")
_DIGITS_OF_MS = 13


def write_problem(problem: Problem) -> Response:
    """Answer an error as these SDKs read one."""
    status, headers = status_of(problem)
    kind = "authentication" if status in (401, 403) else "validation"
    kind = "server" if status >= 500 else kind
    answer = {"type": f"{kind}_error", "code": problem.code, "detail": problem.detail, "attr": None}
    return Response(
        orjson.dumps(answer), status=status, mimetype="application/json", headers=headers
    )


def status_of(problem: Problem) -> tuple[int, dict[str, str]]:
    """Give the status and headers of a problem, as PostHog's SDKs understand them."""
    status, headers = problem.status, dict(problem.headers)
    if status == 429:
        status = 503
    if status == 503:
        headers.setdefault("Retry-After", str(_RETRY_AFTER_S))
    return status, headers


def answer_events(
    request: Request, here: State, *, prepare: Callable[[Any], Any] | None = None
) -> Response:
    """Take the events of a request: in an envelope, in a bare list, or one alone."""
    # Whoever only asks for the head of an answer sends nothing.
    if request.method != "HEAD" and not is_declined(request, here):
        body = read_payload(request, max_bytes=here.settings.max_request_bytes)
        envelope, messages = _open(parse_body(body))
        take_events(
            request,
            here,
            messages,
            key=_read_key(envelope, messages),
            sent_at=_read_sent_at(envelope) or _read_query_time(request),
            is_history=envelope.get("historical_migration") is True,
            prepare=prepare,
        )
    return Response(_OK, status=200, mimetype="application/json")


def answer_engage(request: Request, here: State) -> Response:
    """Take traits of people: events without a name."""
    return answer_events(request, here, prepare=_name_traits)


def take_events(
    request: Request,
    here: State,
    messages: list[Any],
    *,
    key: str | None,
    sent_at: Any = None,
    is_history: bool = False,
    prepare: Callable[[Any], Any] | None = None,
) -> Reading:
    """Judge events and take those that are accepted. Raises Problem.

    `is_history` says that the times of the events are not of the clock that sent them; `prepare`
    gives each event the form of this protocol.
    """
    if not messages:
        raise Problem(400, "empty", "the batch holds no events")
    first = messages[0] if prepare is None else prepare(messages[0])
    is_visitors = not is_history and (is_of_browser(request) or is_of_app(first))
    came_ms, names = here.now_ms(), ContentNames()
    sent_ms = sent_at if isinstance(sent_at, int) else None

    def read(message: Any) -> dict[str, Any]:
        given = message if prepare is None else prepare(message)
        event = translate(given, came_ms=came_ms, sent_ms=sent_ms, names=names)
        return {**event, "clock": KEPT} if is_history else event

    parcel = Parcel(
        key=key,
        messages=messages,
        sent_at=sent_at,
        # A back end has one clock, whoever its events are of.
        device=read_device(first) if is_visitors else None,
        is_visitors=is_visitors,
        guesses_source=True,
    )
    return take_parcel(request, here, parcel, translate=read, door="posthog")


def _name_traits(message: Any) -> Any:
    return {"event": "$identify", **message} if isinstance(message, dict) else message


def _open(document: Any) -> tuple[dict[str, Any], list[Any]]:
    """Give the envelope of a request and its events; an event alone is its own envelope."""
    if isinstance(document, list):
        return {}, document
    if not isinstance(document, dict):
        raise Problem(400, "not_an_event", "the body must be an event or a batch of events")
    if "batch" not in document:
        return document, [document]
    if not isinstance(document["batch"], list):
        raise Problem(400, "no_batch", "batch must be a list of events")
    return document, document["batch"]


def _read_key(envelope: dict[str, Any], messages: list[Any]) -> str | None:
    """Find the key in the envelope, or else in its events, which must agree. Raises Problem."""
    found = [envelope[name] for name in _KEYS if envelope.get(name)][:1]
    found = found or [key for message in messages if (key := _key_of(message))]
    if not all(isinstance(key, str) for key in found):
        raise Problem(401, "invalid_key", "a project's key must be a text")
    if len(set(found)) > 1:
        raise Problem(401, "keys_differ", "all events of a request must have the same key")
    return found[0] if found else None


def _key_of(message: Any) -> Any:
    if not isinstance(message, dict):
        return None
    inner = message.get("properties")
    given = [message.get(name) for name in _EVENT_KEYS]
    given.append(inner.get("token") if isinstance(inner, dict) else None)
    return next((key for key in given if key), None)


def _read_sent_at(envelope: dict[str, Any]) -> Any:
    # posthog-python up to version 6 says it in Segment's words.
    return envelope.get("sent_at") or envelope.get("sentAt")


def _read_query_time(request: Request) -> int | None:
    """Read when a request was sent from its query, in milliseconds; older SDKs say it there."""
    text = request.args.get("_", "")
    return int(text) if len(text) == _DIGITS_OF_MS and text.isascii() and text.isdigit() else None


_in_posthogs_words = in_dialect(write_problem)
_EVENTS: Doors = {
    "GET": _in_posthogs_words(answer_events),
    "POST": _in_posthogs_words(answer_events),
}

ROUTES: dict[str, Doors] = {
    **dict.fromkeys(("/batch", "/e", "/i/v0/e", "/capture", "/track"), _EVENTS),
    "/engage": {"POST": _in_posthogs_words(answer_engage)},
}
