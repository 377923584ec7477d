"""The native door: POST /api/v1/analytics/events/."""

from __future__ import annotations

from typing import Any

import orjson
from flask import request
from werkzeug.wrappers import Request, Response

from app.auth import KeysNotLoadedError, read_jwt_user, read_write_key
from app.blueprint import ApiBlueprint
from app.body import check_content_type, read_body
from app.errors import Problem
from app.sink import SinkUnavailable
from app.state import State, state
from app.visitor import anonymise_address, read_address, read_user_agent
from intake.contract import MAX_ID, EventSchema
from intake.request import BodyError, Reading, encode_batch, read_request
from intake.rows import Sender

blueprint = ApiBlueprint("ingestion", __name__, description="Send events")

_BODY_STATUS = {"too_many_events": 413, "empty": 422}


#: The path with and without its last slash.
PATHS = ("/api/v1/analytics/events/", "/api/v1/analytics/events")


@blueprint.route(PATHS[0], methods=["POST"], strict_slashes=False)
@blueprint.doc(
    summary='Send one event, or a list of them as {"events": […]}',
    requestBody={"content": {"application/json": {"schema": EventSchema}}, "required": True},
    responses={
        "201": {"description": "Accepted: durable in the inbox, stored within seconds"},
        "204": {"description": "Collection is switched off; nothing was kept"},
        **{
            code: {"description": text}
            for code, text in {
                "400": "The body is not JSON, or not an event",
                "401": "The write key or the Bearer token is not valid",
                "413": "The request, or its only event, is too large",
                "415": "Neither JSON nor gzip of it",
                "422": "No event could be accepted; `results` says why",
                "503": "The inbox is full or away; send again after Retry-After",
            }.items()
        },
    },
)
def post_events() -> Response:
    """Accept the events of one request, each judged by itself."""
    return answer_events(request, state())


def answer_events(request: Request, here: State) -> Response:
    """Answer one request of the native door. Raises Problem."""
    if not here.settings.analytics_enabled:
        return Response(status=204)
    sender = read_sender(request, here)
    check_content_type(request)
    body = read_body(request, max_bytes=here.settings.max_request_bytes)
    try:
        reading = read_request(body, sender=sender, rules=here.rules)
    except BodyError as error:
        raise Problem(_BODY_STATUS.get(error.reason, 400), error.reason, error.detail) from None
    if not reading.rows:
        raise _nothing_accepted(reading)
    accept(here, reading, sender)
    return Response(orjson.dumps(_answer(reading)), status=201, mimetype="application/json")


def read_sender(request: Request, here: State) -> Sender:
    """Gather what all events of the request share, and check its credentials."""
    settings = here.settings
    key_id = check_write_key(request, here)
    address = read_address(request, trusted_proxies=settings.trusted_proxies)
    return Sender(
        received_ms=here.now_ms(),
        key_id=key_id,
        user_id=read_jwt_user(
            request, secret=settings.jwt_secret, algorithms=settings.jwt_algorithms.split(",")
        ),
        anonymous_id=_header(request, "X-Client-ANON-ID"),
        idempotency_key=_header(request, "Idempotency-Key"),
        ip_address=anonymise_address(address, mode=settings.ip_mode),
        user_agent=read_user_agent(request),
    )


def check_write_key(request: Request, here: State) -> str:
    """Give the id of the request's write key, the empty text without one. Raises Problem."""
    key = read_write_key(request)
    if key is None:
        if here.settings.require_key:
            raise Problem(401, "key_required", "send a write key: X-Write-Key: wk_…")
        return ""
    try:
        key_id = here.write_keys.id_of(key)
    except KeysNotLoadedError:
        raise Problem(
            503,
            "keys_unknown",
            "write keys cannot be checked yet: please try again",
            headers={"Retry-After": "2"},
        ) from None
    if key_id is None:
        raise Problem(401, "invalid_key", "this write key is not known or was revoked")
    return key_id


def accept(here: State, reading: Reading, sender: Sender) -> None:
    """Put the accepted events into the inbox, or answer 503 within half a second."""
    body = encode_batch(reading.rows, sender=sender)
    try:
        here.sink.put(body, events=len(reading.rows), days=reading.days)
    except SinkUnavailable as error:
        raise Problem(
            503, error.code, error.detail, headers={"Retry-After": str(error.retry_after_s)}
        ) from None


def _answer(reading: Reading) -> dict[str, Any]:
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
