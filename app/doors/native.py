"""The native door: POST /api/v1/analytics/events/."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from flask import request
from werkzeug.wrappers import Request, Response

from app.auth import takes_write_key
from app.blueprint import ApiBlueprint
from app.body import check_content_type, read_body
from app.errors import Problem
from app.host_tokens import read_jwt_user
from app.schemas import examples
from app.schemas.events import EventAccepted, LogBatchAnswer
from app.sink import SinkUnavailable
from app.state import State, state
from app.visitor import anonymise_address, read_address, read_user_agent, wants_privacy
from app.write_keys import check_write_key
from intake.contract import MAX_ID, EventSchema
from intake.request import BodyError, Reading, encode_batch, read_request
from intake.rows import Sender

blueprint = ApiBlueprint("ingestion", __name__, description="Send events")

Reader = Callable[..., Reading]

_BODY_STATUS = {"too_many_events": 413, "empty": 422}


#: How any ingestion request can end, for the API's document.
ANSWERS: dict[str, dict[str, Any]] = {
    "201": {"description": "Accepted: durable in the inbox, stored within seconds"},
    "204": {"description": "Collection is off, or declined by the browser; nothing was kept"},
    "400": {"description": "The body is not JSON, or not an event"},
    "401": {"description": "The write key or the Bearer token is not valid"},
    "403": {"description": "The write key is not for pages of this origin"},
    "413": {"description": "The request, or its only event, is too large"},
    "415": {"description": "Neither JSON nor gzip of it"},
    "422": {"description": "No event could be accepted; `results` says why"},
    "429": {"description": "The write key has sent its share of the minute; see Retry-After"},
    "503": {"description": "The inbox is full or away; send again after Retry-After"},
}

_ACCEPTED = {"application/json": {"schema": {"anyOf": [EventAccepted, LogBatchAnswer]}}}

#: The path with and without its last slash.
PATHS = ("/api/v1/analytics/events/", "/api/v1/analytics/events")


@blueprint.route(PATHS[0], methods=["POST"])
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
    return write_created(None if reading is None else answer_reading(reading))


def take_events(request: Request, here: State, *, read: Reader = read_request) -> Reading | None:
    """Judge the events of a request and put the accepted ones into the inbox. Raises Problem.

    `read` makes verdicts of the body. None when collection is switched off, or the browser
    declines it, and nothing was kept.
    """
    settings = here.settings
    if not settings.analytics_enabled or (settings.respect_dnt and wants_privacy(request)):
        return None
    here.suppressed.watch()
    sender = read_sender(request, here)
    check_content_type(request)
    body = read_body(request, max_bytes=settings.max_request_bytes)
    try:
        reading = read(body, sender=sender, rules=here.rules)
    except BodyError as error:
        raise Problem(_BODY_STATUS.get(error.reason, 400), error.reason, error.detail) from None
    if not reading.rows:
        raise _nothing_accepted(reading)
    accept(here, reading, sender)
    return reading


def write_created(answer: dict[str, Any] | None) -> Response:
    """Answer 201 with what was accepted, or 204 when nothing was looked at."""
    if answer is None:
        return Response(status=204)
    return Response(orjson.dumps(answer), status=201, mimetype="application/json")


def read_sender(request: Request, here: State) -> Sender:
    """Gather what all events of the request share, and check its credentials."""
    settings = here.settings
    received_ms = here.now_ms()
    key = check_write_key(
        request, here.write_keys, required=settings.require_key, now_ms=received_ms
    )
    address = read_address(request, trusted_proxies=settings.trusted_proxies)
    return Sender(
        received_ms=received_ms,
        key_id=key.key_id if key else "",
        source=key.source if key else None,
        user_id=read_jwt_user(
            request, secret=settings.jwt_secret, algorithms=settings.jwt_algorithms.split(",")
        ),
        anonymous_id=_header(request, "X-Client-ANON-ID"),
        idempotency_key=_header(request, "Idempotency-Key"),
        ip_address=anonymise_address(
            address,
            mode=settings.ip_mode,
            salt=here.daily_salt.of(received_ms) if settings.ip_mode == "hashed" else b"",
        ),
        user_agent=read_user_agent(request),
    )


def accept(here: State, reading: Reading, sender: Sender) -> None:
    """Put the accepted events into the inbox, or answer 503 within half a second.

    Raises Problem 429 when the write key has sent its share of the minute.
    """
    limit = here.write_keys.limit_of(sender.key_id)
    if limit is not None:
        here.key_limits.spend(sender.key_id, len(reading.rows), limit=limit)
    body = encode_batch(reading.rows, sender=sender)
    try:
        here.sink.put(body, events=len(reading.rows), days=reading.days)
    except SinkUnavailable as error:
        raise Problem(
            503, error.code, error.detail, headers={"Retry-After": str(error.retry_after_s)}
        ) from None


def answer_reading(reading: Reading) -> dict[str, Any]:
    """Say what was accepted: one event's id, or a verdict for each of a list."""
    if reading.single:
        return {"event_id": reading.rows[0].event_id}
    return {
        "events_created": len(reading.rows),
        "event_ids": [row.event_id for row in reading.rows],
        "results": reading.results,
    }


def _nothing_accepted(reading: Reading) -> Problem:
    if not reading.single:
        return Problem(
            422, "all_rejected", "no event could be accepted: see results", results=reading.results
        )
    verdict = reading.results[0]
    more = {"errors": verdict["errors"]} if "errors" in verdict else {}
    status = 413 if verdict["reason"] == "too_large" else 422
    return Problem(status, verdict["reason"], verdict["detail"], **more)


def _header(request: Request, name: str) -> str | None:
    value = request.headers.get(name, "").strip()
    if len(value) > MAX_ID or "\0" in value:
        raise Problem(400, "bad_header", f"{name} may have {MAX_ID} characters, got {len(value)}")
    return value or None
