"""The doors of Segment's and RudderStack's SDKs: messages, batches, beacons and pixels.

Any success but 200 makes some of the SDKs send again, and errors need both `code` and `message`.
Overload is 429 for them: analytics.js reads Retry-After in no other answer.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import orjson
from werkzeug.wrappers import Request, Response

from app.body import read_sdk_body
from app.doors.dialects import Parcel, in_dialect, is_of_browser, parse_body, take_parcel
from app.doors.routes import Door, Doors
from app.errors import Problem, problem_of
from app.sender import is_declined
from app.state import State
from app.write_keys import read_bearer, read_write_key
from intake.dialects.devices import find_source
from intake.dialects.numbers import read_id
from intake.dialects.segment import translate

#: Statuses of ours that these SDKs do not know, or take for something else.
_STATUS = {415: 400, 503: 429}
_OK = b'{"success":true}'
#: A transparent image of one pixel.
_GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
#: Parameters of a pixel that may be a whole JSON object.
_OBJECTS = frozenset({"context", "properties", "traits"})
_MAX_NESTED = 8


def write_problem(problem: Problem) -> Response:
    """Answer an error as these SDKs read one."""
    status = _STATUS.get(problem.status, problem.status)
    headers = dict(problem.headers)
    if status == 429:
        headers.setdefault("Retry-After", "2")
    answer = {"success": False, "code": problem.code, "message": problem.detail}
    return Response(
        orjson.dumps(answer), status=status, mimetype="application/json", headers=headers
    )


def answer_one(request: Request, here: State, *, kind: str) -> Response:
    """Take one message, whose type the path says."""
    document = _read_object(request, here)
    if document is not None:
        _take(request, here, [document], envelope=document, kind=kind)
    return _write_ok()


def answer_batch(request: Request, here: State) -> Response:
    """Take a list of messages, each of which says its type."""
    document = _read_object(request, here)
    if document is None:
        return _write_ok()
    messages = document.get("batch")
    if not isinstance(messages, list):
        raise Problem(400, "no_batch", 'the body must be {"batch": [message, …]}')
    _take(request, here, messages, envelope=document)
    return _write_ok()


def answer_nothing(request: Request, here: State) -> Response:
    """Take what an SDK tells of itself for read; it would complain in the page's console."""
    return _write_ok()


def answer_pixel(request: Request, here: State, *, kind: str) -> Response:
    """Take one message from the query, and answer an image whatever becomes of it."""
    try:
        if request.method == "GET" and not is_declined(request, here):
            message = _read_query(request)
            _take(request, here, [message], envelope=message, kind=kind)
    except Exception as error:
        # Whoever looks at a page shall not see a broken image; what is not their fault is logged.
        problem_of(error)
    return Response(_GIF, mimetype="image/gif", headers={"Cache-Control": "no-store"})


def _read_object(request: Request, here: State) -> dict[str, Any] | None:
    """Read the body, which is a JSON object; None when nothing of it may be kept."""
    if is_declined(request, here):
        return None
    body = read_sdk_body(request, max_bytes=here.settings.max_request_bytes)
    document = parse_body(body)
    if not isinstance(document, dict):
        raise Problem(400, "not_an_object", "the body must be a JSON object")
    return document


def _take(
    request: Request,
    here: State,
    messages: list[Any],
    *,
    envelope: dict[str, Any],
    kind: str | None = None,
) -> None:
    shared = None if kind else envelope.get("context")
    first = next((each for each in messages if isinstance(each, dict)), {})
    # A browser says it of each message, and of no batch.
    last = next((each for each in reversed(messages) if isinstance(each, dict)), {})
    is_visitors = is_of_browser(request) or _is_of_app(first, shared)
    parcel = Parcel(
        key=_read_key(request, envelope, first),
        messages=messages,
        sent_at=envelope.get("sentAt") or last.get("sentAt"),
        # A back end has one clock, whoever its messages are of.
        device=_read_device(first) if is_visitors else None,
        is_visitors=is_visitors,
        guesses_source=True,
    )
    take_parcel(
        request,
        here,
        parcel,
        translate=partial(translate, kind=kind, context=shared, received_ms=here.now_ms()),
        door="segment",
    )


def _read_key(request: Request, envelope: dict[str, Any], first: dict[str, Any]) -> str | None:
    """Find the key where the SDKs put it: Basic, the query, the body, or only its messages.

    Customer.io's SDKs send keys of a region as Bearer. A Bearer token of Segment's OAuth is no
    write key, which stands in the body then.
    """
    found = read_write_key(request) or envelope.get("writeKey") or first.get("writeKey")
    found = found or read_bearer(request)
    if found is None or isinstance(found, str):
        return found or None
    raise Problem(401, "invalid_key", "writeKey must be a text")


def _is_of_app(message: dict[str, Any], shared: Any) -> bool:
    """Tell whether a message comes from an app on the person's own device."""
    context = message.get("context") or shared
    return isinstance(context, dict) and find_source(context) in ("android", "ios")


def _read_device(message: dict[str, Any]) -> str | None:
    found = read_id(message.get("anonymousId")) or read_id(message.get("userId"))
    return found if isinstance(found, str) else None


def _read_query(request: Request) -> dict[str, Any]:
    """Make a message of a pixel's parameters: `properties.price` is the price of its properties."""
    message: dict[str, Any] = {"channel": "web"}
    for name, text in request.args.items():
        value: Any = text
        if name in _OBJECTS:
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                continue
        elif name in ("anonymousId", "userId"):
            value = text.strip('"')
        *outer, last = name.split(".", _MAX_NESTED)
        holder = message
        for part in outer:
            inner = holder.setdefault(part, {})
            if not isinstance(inner, dict):
                break
            holder = inner
        else:
            holder[last] = value
    return message


def _write_ok() -> Response:
    return Response(_OK, status=200, mimetype="application/json")


_in_segments_words = in_dialect(write_problem)


def _post(door: Door) -> Doors:
    return {"POST": _in_segments_words(door)}


_KINDS = ("track", "identify", "page", "screen", "group", "alias")

ROUTES: dict[str, Doors] = {
    # analytics.js says a type by its first letter.
    **{
        f"/v1/{name}": _post(partial(answer_one, kind=kind))
        for kind in _KINDS
        for name in (kind, kind[0])
    },
    **{
        path: _post(answer_batch)
        for path in ("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch")
    },
    "/v1/m": _post(answer_nothing),
    **{
        f"/pixel/v1/{kind}": {"GET": partial(answer_pixel, kind=kind)} for kind in ("track", "page")
    },
}
