"""The CloudEvents door: POST /cloudevents, one event in headers or in JSON, or a batch of them.

The answers are those of the CloudEvents web hook document: 202 for what is accepted and not yet
processed, 415 for another format, 429 with Retry-After. OPTIONS gives a sender leave to send.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from werkzeug.wrappers import Request, Response

from app.body import read_body
from app.cors import answer_preflight
from app.doors.dialects import Parcel, is_of_browser, parse_body, take_parcel
from app.doors.routes import Doors
from app.doors.verdicts import answer_reading, nothing_accepted
from app.errors import Problem
from app.sender import is_declined
from app.state import State
from app.write_keys import read_bearer, read_write_key
from intake.dialects.cloudevents import translate

PATH = "/cloudevents"
_FAMILY = "application/cloudevents"
_SINGLE, _BATCH = f"{_FAMILY}+json", f"{_FAMILY}-batch+json"


def answer_delivery(request: Request, here: State) -> Response:
    """Take what a request delivers. Raises Problem."""
    if is_declined(request, here):
        return Response(status=204)
    messages, is_single = _read_messages(request, here)
    if not messages:
        return Response(status=204)
    parcel = Parcel(key=_read_key(request), messages=messages, is_visitors=is_of_browser(request))
    reading = take_parcel(request, here, parcel, translate=translate, door="cloudevents")
    if not reading.rows:
        raise nothing_accepted(reading, is_single=is_single, status=400)
    return Response(
        orjson.dumps(answer_reading(reading, is_single=is_single)),
        status=202,
        mimetype="application/json",
    )


def answer_handshake(request: Request, here: State) -> Response:
    """Tell a sender that it may send, as often as it likes, and a browser what it may send."""
    response = answer_preflight(request.environ, ["POST"])
    if "WebHook-Request-Origin" in request.headers:
        response.headers["WebHook-Allowed-Origin"] = "*"
        response.headers["WebHook-Allowed-Rate"] = "*"
    return response


def _read_messages(request: Request, here: State) -> tuple[list[Any], bool]:
    """Give the events in their JSON format, and whether it is one alone."""
    kind = request.mimetype
    if kind.startswith(_FAMILY) and kind not in (_SINGLE, _BATCH):
        raise Problem(
            415,
            "unsupported_media_type",
            f"send CloudEvents as {_SINGLE}, as {_BATCH} or in headers, not as {kind}",
            headers={"Accept": f"{_SINGLE}, {_BATCH}"},
        )
    body = read_body(request, max_bytes=here.settings.max_request_bytes)
    attributes = _read_attributes(request)
    if attributes and not kind.startswith(_FAMILY):
        return [{**attributes, **_read_data(request, body)}], True
    document = parse_body(body)
    if kind == _SINGLE or (kind != _BATCH and isinstance(document, dict)):
        return [document], True
    if not isinstance(document, list):
        raise Problem(400, "not_a_list", "a batch must be a JSON array of CloudEvents")
    return document, False


def _read_attributes(request: Request) -> dict[str, Any]:
    """Read the attributes in the headers `ce-…`; values are percent-encoded UTF-8."""
    found = {
        name[3:].lower(): _decode(value)
        for name, value in request.headers.items()
        if name.lower().startswith("ce-")
    }
    if found and request.content_type:
        found["datacontenttype"] = request.content_type
    return found


def _decode(value: str) -> str:
    """Decode a header's value; some senders write its characters as they are."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except UnicodeError:
        return value


def _read_data(request: Request, body: bytes) -> dict[str, Any]:
    """Read the body of an event whose attributes are in the headers.

    Without a Content-Type it is JSON when it can be read so.
    """
    if not body:
        return {}
    kind = request.mimetype
    if kind == "application/json" or kind.endswith("+json"):
        return {"data": parse_body(body)}
    if not kind:
        try:
            return {"data": parse_body(body)}
        except Problem:
            pass
    try:
        return {"data": body.decode()}
    except UnicodeDecodeError:
        return {"data_base64": b64encode(body).decode()}


def _read_key(request: Request) -> str | None:
    """Find the write key where our own doors look, or where a web hook's sender puts a token."""
    return read_write_key(request) or request.args.get("access_token") or read_bearer(request)


ROUTES: dict[str, Doors] = {PATH: {"POST": answer_delivery, "OPTIONS": answer_handshake}}
