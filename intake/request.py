"""Read a request's body: one event or a list of them, with a verdict for each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec
import orjson
from marshmallow import ValidationError
from msgspec import Raw

from intake.brackets import split_by_brackets
from intake.compiled import read_all_fast, read_fast
from intake.contract import load_event, messages_of
from intake.moment import format_ms
from intake.payload import MAX_DEPTH
from intake.rows import BatchBody, Rejected, Row, Rules, Sender, days_of, make_row


class BodyError(ValueError):
    """The body as a whole cannot be read; `reason` is a code for programs."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(slots=True)
class Reading:
    """What was read: the accepted rows, and for each event of the request its verdict."""

    single: bool
    rows: list[Row] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """List the verdicts on events that were not accepted."""
        return [result for result in self.results if result["status"] == "rejected"]

    @property
    def days(self) -> list[date]:
        """List the days whose partitions the rows need."""
        return days_of(self.rows)


class _Envelope(msgspec.Struct, gc=False):
    events: Any = msgspec.UNSET


class _Events(msgspec.Struct, gc=False):
    events: list[Raw]


_encode = msgspec.json.Encoder().encode
_read_envelope = msgspec.json.Decoder(_Events).decode


def read_request(body: bytes, *, sender: Sender, rules: Rules) -> Reading:
    """Read the events of a request body and judge each one by itself.

    The body is one event or an object whose `events` is a list of them. One bad event does not
    hurt the others. Raises BodyError when the body as a whole cannot be read.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BodyError("not_utf8", f"the body is not UTF-8 (byte {error.start})") from None
    events, single = _split(body)
    if not events:
        raise BodyError("empty", "events must hold at least one event")
    if len(events) > rules.max_batch_events:
        raise BodyError(
            "too_many_events",
            f"a request may carry {rules.max_batch_events} events, got {len(events)}: "
            "send them in parts",
        )
    reading = Reading(single=single)
    # Either the events as they were read together, or their texts, to be read one by one.
    for index, event in enumerate(_read_together(body, events, single, rules) or events):
        try:
            if isinstance(event, Row):
                row = make_row(event, sender=sender, rules=rules, index=index)
            else:
                row = _read_one(event, sender=sender, rules=rules, index=index)
        except Rejected as verdict:
            reading.results.append(_rejection(index, verdict))
            continue
        reading.rows.append(row)
        reading.results.append({"index": index, "event_id": row.event_id, "status": "ok"})
    return reading


def encode_batch(rows: Iterable[Row], *, sender: Sender) -> bytes:
    """Write rows as the JSON of one inbox entry."""
    return _encode(
        BatchBody(
            received_at=format_ms(sender.received_ms),
            events=list(rows),
            key_id=sender.key_id or None,
            ip_address=sender.ip_address,
            user_agent=sender.user_agent,
        )
    )


def read_values(events: list[Any], *, sender: Sender, rules: Rules) -> Reading:
    """Judge events that are decoded already, as `read_request` does."""
    reading = Reading(single=False)
    for index, event in enumerate(events):
        try:
            row = _read_slowly(event, sender=sender, rules=rules, index=index)
        except Rejected as verdict:
            reading.results.append(_rejection(index, verdict))
            continue
        reading.rows.append(row)
        reading.results.append({"index": index, "event_id": row.event_id, "status": "ok"})
    return reading


def _split(body: bytes) -> tuple[Sequence[Raw | bytes], bool]:
    try:
        return _read_envelope(body).events, False
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError) as error:
        events = split_by_brackets(body) if isinstance(error, RecursionError) else None
        events = events or _split_leniently(body)
        if events is None:
            raise BodyError("not_json", f"the body is not JSON: {error}") from None
        return events, False
    try:
        envelope = msgspec.json.decode(body, type=_Envelope, strict=True)
    except (msgspec.MsgspecError, RecursionError):
        raise BodyError(
            "not_an_event", 'the body must be an event or {"events": [event, …]}'
        ) from None
    if envelope.events is not msgspec.UNSET:
        raise BodyError("not_a_list", "events must be a list of events")
    return [Raw(body)], True


def _split_leniently(body: bytes) -> list[bytes] | None:
    """Part a list in which only some events are not JSON, so that these alone are rejected.

    Browsers write half of an emoji that was cut in two, and Python writes NaN; both are read here
    and refused event by event. None when the body is no list of events even so.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    events = found.get("events") if isinstance(found, dict) else None
    return [_write_again(event) for event in events] if isinstance(events, list) else None


def _write_again(event: Any) -> bytes:
    try:
        return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(event).encode()


def _read_together(
    body: bytes, events: Sequence[Raw | bytes], single: bool, rules: Rules
) -> list[Any] | None:
    longest = max(len(memoryview(event)) for event in events)
    if single or longest > rules.max_event_bytes:
        return None
    together = read_all_fast(body, longest=longest)
    # An object may name its events twice; then they were counted from one list and read as another.
    return together if together is not None and len(together) == len(events) else None


def _read_one(raw: Raw | bytes, *, sender: Sender, rules: Rules, index: int) -> Row:
    size = len(memoryview(raw))
    if size > rules.max_event_bytes:
        raise Rejected(
            "too_large", f"an event may have {rules.max_event_bytes} bytes of JSON, got {size}"
        )
    text = bytes(raw)
    event = read_fast(text)
    if event is not None:
        return make_row(event, sender=sender, rules=rules, index=index)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Rejected("invalid", f"the event cannot be read: {error}") from None
    return _read_slowly(value, sender=sender, rules=rules, index=index)


def _read_slowly(value: Any, *, sender: Sender, rules: Rules, index: int) -> Row:
    try:
        fields = load_event(value)
    except ValidationError as error:
        messages = _with_text_keys(messages_of(error))
        first = next(iter(messages))
        raise Rejected("invalid", f"{first}: {_first_text(messages[first])}", messages) from None
    except RecursionError:
        raise Rejected("invalid", f"the event is nested over {MAX_DEPTH} levels deep") from None
    return make_row(Row(**fields), sender=sender, rules=rules, index=index)


def _with_text_keys(messages: Any) -> Any:
    """Write the places in a list as text, as JSON wants the names of an object."""
    if isinstance(messages, dict):
        return {str(key): _with_text_keys(item) for key, item in messages.items()}
    return messages


def _first_text(message: Any) -> str:
    while isinstance(message, dict | list):
        message = next(iter(message.values() if isinstance(message, dict) else message))
    return str(message)


def _rejection(index: int, verdict: Rejected) -> dict[str, Any]:
    result = {
        "index": index,
        "event_id": None,
        "status": "rejected",
        "reason": verdict.reason,
        "detail": verdict.detail,
    }
    return result if verdict.errors is None else {**result, "errors": verdict.errors}
