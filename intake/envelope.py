"""Part a request's body into the texts of its events, before any of them is looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from intake.brackets import split_by_brackets


class BodyError(ValueError):
    """The body as a whole cannot be read; `reason` is a code for programs."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Envelope(msgspec.Struct, gc=False):
    events: Any = msgspec.UNSET


_NOT_SAID = Raw(b"null")


class _Events(msgspec.Struct, gc=False):
    events: list[Raw]
    sent_at: Raw = _NOT_SAID


class _Actor(msgspec.Struct, gc=False):
    anonymous_id: str | None = None
    user_id: str | None = None


_read_envelope = msgspec.json.Decoder(_Events).decode
_read_actor = msgspec.json.Decoder(_Actor).decode
_read_moment = msgspec.json.Decoder(str | int | float).decode


def split_body(body: bytes) -> tuple[Sequence[Raw | bytes], bool, Any]:
    """Give the texts of the events, whether it is one event alone, and when it was sent.

    The body is UTF-8. Raises BodyError.
    """
    try:
        envelope = _read_envelope(body)
        return envelope.events, False, _read_sent_at(envelope.sent_at)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError) as error:
        events = split_by_brackets(body) if isinstance(error, RecursionError) else None
        if events:
            return events, False, None
        leniently = _split_leniently(body)
        if leniently is None:
            raise BodyError("not_json", f"the body is not JSON: {error}") from None
        return leniently[0], False, leniently[1]
    try:
        found = msgspec.json.decode(body, type=_Envelope, strict=True)
    except (msgspec.MsgspecError, RecursionError):
        raise BodyError(
            "not_an_event", 'the body must be an event or {"events": [event, …]}'
        ) from None
    if found.events is not msgspec.UNSET:
        raise BodyError("not_a_list", "events must be a list of events")
    return [Raw(body)], True, None


def _read_sent_at(raw: Raw) -> Any:
    """Read a moment by itself: what is none, such as a number without end, hurts nobody."""
    try:
        return None if raw is _NOT_SAID else _read_moment(raw)
    except msgspec.MsgspecError:
        return None


def read_device(event: Raw | bytes) -> str | None:
    """Name the device of a batch by whoever its first event is of."""
    try:
        actor = _read_actor(event)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return actor.anonymous_id or actor.user_id


def _split_leniently(body: bytes) -> tuple[list[bytes], Any] | None:
    """Part a list in which only some events are not JSON, so that these alone are rejected.

    Browsers write half of an emoji that was cut in two, and Python writes NaN; both are read here
    and refused event by event. None when the body is no list of events even so.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    events = found.get("events") if isinstance(found, dict) else None
    if not isinstance(events, list):
        return None
    return [_write_again(event) for event in events], found.get("sent_at")


def _write_again(event: Any) -> bytes:
    try:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(event).encode()
