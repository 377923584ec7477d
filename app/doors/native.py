"""The native door: POST /api/v1/analytics/events/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
from flask import request
from werkzeug.wrappers import Request, Response

from app.auth import takes_write_key
from app.blueprint import ApiBlueprint
from app.body import check_content_type, read_body
from app.doors.routes import Doors
from app.doors.verdicts import answer_reading, nothing_accepted
from app.errors import Problem
from app.host_tokens import read_jwt_user
from app.schemas import examples
from app.schemas.events import EventAccepted, LogBatchAnswer
from app.sender import accept, is_declined, read_sender, skew_of
from app.state import State, state
from app.write_keys import read_write_key
from intake.contract import MAX_ID, EventSchema
from intake.envelope import BodyError
from intake.request import Reading, read_request

blueprint = ApiBlueprint("ingestion", __name__, description="Send events")

Reader = Callable[..., Reading]

_BODY_STATUS = {"too_many_events": 413, "empty": 422}


#: How any ingestion request can end, for the API's document.
ANSWERS: dict[str, dict[str, Any]] = {
    "201": {"description": "Accepted: durable in the inbox or the spool, stored within seconds"},
    "204": {"description": "Collection is off, or declined by the browser; nothing was kept"},
    "400": {"description": "The body is not JSON, or not an event"},
    "401": {"description": "The write key or the Bearer token is not valid"},
    "403": {"description": "The write key is not for pages of this origin"},
    "413": {"description": "The request, or its only event, is too large"},
    "415": {"description": "Neither JSON nor gzip of it"},
    "422": {"description": "No event could be accepted; `results` says why"},
    "429": {"description": "The write key has sent its share of the minute; see Retry-After"},
    "503": {"description": "The inbox is full, or away with no spool; see Retry-After"},
}

_ACCEPTED = {"application/json": {"schema": {"anyOf": [EventAccepted, LogBatchAnswer]}}}

PATH = "/api/v1/analytics/events/"


@blueprint.route(PATH, methods=["POST"])
@blueprint.doc(
    summary='Send one event, or a list of them as {"events": […]}',
    requestBody={
        "content": {"application/json": {"schema": EventSchema, "examples": examples.EVENTS}},
        "required": True,
    },
    responses={**ANSWERS, "201": {**ANSWERS["201"], "content": _ACCEPTED}},
)
@takes_write_key
def post_events() -> Response:
    """Accept the events of one request, each judged by itself."""
    return answer_events(request, state())


def answer_events(request: Request, here: State) -> Response:
    """Answer one request of the native door. Raises Problem."""
    reading = take_events(request, here)
    return write_verdicts(reading)


def take_events(
    request: Request, here: State, *, door: str = "native", read: Reader = read_request
) -> Reading | None:
    """Judge the events of a request and put the accepted ones into the inbox. Raises Problem.

    `read` makes verdicts of the body. None when collection is switched off, or the browser
    declines it, and nothing was kept.
    """
    if is_declined(request, here):
        return None
    here.suppressed.watch()
    sender = replace(
        read_sender(request, here, key=read_write_key(request)),
        user_id=_read_user(request, here),
        anonymous_id=_header(request, "X-Client-ANON-ID"),
        idempotency_key=_header(request, "Idempotency-Key"),
    )
    check_content_type(request)
    body = read_body(request, max_bytes=here.settings.max_request_bytes)
    try:
        reading = read(
            body, sender=sender, rules=here.rules, skew_of=skew_of(request, here, sender)
        )
    except BodyError as error:
        raise Problem(_BODY_STATUS.get(error.reason, 400), error.reason, error.detail) from None
    accept(here, reading, door=door)
    if not reading.rows:
        raise nothing_accepted(reading, is_single=reading.single, status=422)
    return reading


def answer_prefix(request: Request, here: State) -> Response:
    """Say what the prefix is for, to whoever opens in a browser what their SDK has for its host."""
    prefix = here.settings.door_prefix
    answer = {
        "name": "millrace",
        "detail": "events are taken here: give this address to your SDK for its host",
        "links": {"send_events": f"{prefix}/in", "tracker": f"{prefix}/m.js"},
    }
    return Response(orjson.dumps(answer), mimetype="application/json")


def write_created(answer: dict[str, Any] | None) -> Response:
    """Answer 201 with what was accepted, or 204 when nothing was looked at."""
    if answer is None:
        return Response(status=204)
    return Response(orjson.dumps(answer), status=201, mimetype="application/json")


def write_verdicts(reading: Reading | None) -> Response:
    """Answer what became of the events of a request."""
    if reading is None:
        return write_created(None)
    return write_created(answer_reading(reading, is_single=reading.single))


def _read_user(request: Request, here: State) -> str | None:
    settings = here.settings
    return read_jwt_user(
        request, secret=settings.jwt_secret, algorithms=settings.jwt_algorithms.split(",")
    )


def _header(request: Request, name: str) -> str | None:
    value = request.headers.get(name, "").strip()
    if len(value) > MAX_ID or "\0" in value:
        raise Problem(400, "bad_header", f"{name} may have {MAX_ID} characters, got {len(value)}")
    return value or None


ROUTES: dict[str, Doors] = {PATH: {"POST": answer_events}}
#: Below DOOR_PREFIX only: paths that no block list knows.
SHORT_ROUTES: dict[str, Doors] = {"/in": {"POST": answer_events}, "/": {"GET": answer_prefix}}
