"""Events as lines: what an inbox entry holds when PostgreSQL can take it as it is.

The first line is a JSON object with what all events share. Each further line is one event, a JSON
array of the columns in the order of LINE_COLUMNS. Without its brackets such a line is also CSV, as
COPY reads it with the backslash for its escape and `null` for NULL: so the worker passes events on
without reading more of them than what is counted.

CSV knows the escapes of the quote and of the backslash only. A batch with a control character in
one of its texts is written as one JSON object instead, `{…, "events": [{…}, …]}`, and so is what
carries rejected messages. Whoever looks at single events reads both through `as_json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

#: Columns of the events table. Those that are counted or tell who it was stand first.
LINE_COLUMNS = (
    "event_id",
    "event_type",
    "product_id",
    "quantity",
    "value",
    "items",
    "occurred_at",
    "excluded",
    "user_id",
    "anonymous_id",
    "session_id",
    "event_category",
    "event_action",
    "source",
    "device_type",
    "entity_type",
    "entity_id",
    "message_id",
    "duration_ms",
    "properties",
    "context",
    "original_at",
    "clock",
)
#: The columns of a batch, which stand behind those of each event.
SHARED_COLUMNS = ("received_at", "sent_at", "key_id", "ip_address", "user_agent")
_PAYLOADS = ("items", "properties", "context")
_START = b'{"lines":'


class Head(msgspec.Struct):
    """What the events of a batch share, and how many they are."""

    lines: int
    received_at: str
    sent_at: str | None = None
    key_id: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None


class Line(msgspec.Struct, array_like=True, gc=False):
    """The beginning of a line: what its event adds to the counters and the links."""

    event_id: str
    event_type: str
    product_id: str | None
    quantity: int | None
    value: float | None
    items: str | None
    occurred_at: str
    excluded: str | None
    user_id: str | None
    anonymous_id: str | None


_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_read_head = msgspec.json.Decoder(Head).decode
_read_lines = msgspec.json.Decoder(Line).decode_lines
_read_whole_lines = msgspec.json.Decoder(tuple[Raw, ...]).decode_lines
_read_text = msgspec.json.Decoder(str).decode


def is_lines(body: bytes) -> bool:
    """Tell whether a batch is written in lines."""
    return body.startswith(_START)


def write_lines(head: Head, rows: Sequence[Any], *, is_plain: bool) -> bytes | None:
    """Write a batch in lines; None when it cannot be.

    `is_plain` says that the request had neither a backslash nor a control character in it: then
    its events need no closer look.
    """
    if not is_plain:
        for row in rows:
            for name in _PAYLOADS:
                payload = getattr(row, name)
                if isinstance(payload, Raw):
                    setattr(row, name, _on_one_line(payload))
    # Naming each attribute is twice as fast as any loop over their names.
    lines = _encode_lines(
        [
            (
                row.event_id,
                row.event_type,
                row.product_id,
                row.quantity,
                row.value,
                row.items if row.items is None else _text_of(row.items),
                row.occurred_at,
                row.excluded,
                row.user_id,
                row.anonymous_id,
                row.session_id,
                row.event_category,
                row.event_action,
                row.source,
                row.device_type,
                row.entity_type,
                row.entity_id,
                row.message_id,
                row.duration_ms,
                row.properties if row.properties is None else _text_of(row.properties),
                row.context if row.context is None else _text_of(row.context),
                row.original_at,
                row.clock,
            )
            for row in rows
        ]
    )
    if not is_plain and _has_other_escapes(lines):
        return None
    first = _encode(head)
    return None if _has_other_escapes(first) else first + b"\n" + lines


def read_head(body: bytes) -> Head:
    """Read what the events of a batch share. Raises msgspec.MsgspecError."""
    return _read_head(body[: body.index(b"\n")])


def read_lines(body: bytes) -> list[Line]:
    """Read what is counted of a batch's events. Raises msgspec.MsgspecError."""
    return _read_lines(body[body.index(b"\n") + 1 :])


def as_csv(body: bytes, head: Head) -> bytes:
    """Give the events as COPY reads them, each with what all share behind its own columns."""
    shared = _encode(tuple(getattr(head, name) for name in SHARED_COLUMNS))[1:-1]
    # A line break stands between two lines and nowhere else: in texts it is escaped.
    lines = body[body.index(b"\n") + 2 :].rstrip(b"\n")
    return lines.replace(b"]\n[", b"," + shared + b"\n")[:-1] + b"," + shared + b"\n"


def as_json(body: bytes) -> bytes:
    """Give a batch as one JSON object, however it is written. What cannot be read stays as it is.

    Columns without a value are left out.
    """
    if not is_lines(body):
        return body
    try:
        head = read_head(body)
        lines = _read_whole_lines(body[body.index(b"\n") + 1 :])
        events = [_as_fields(line) for line in lines]
        if len(events) != head.lines:
            return body
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return body
    shared = {name: getattr(head, name) for name in SHARED_COLUMNS}
    fields = {name: value for name, value in shared.items() if value is not None}
    return _encode({**fields, "events": events})


def _as_fields(line: tuple[Raw, ...]) -> dict[str, Raw]:
    event = {
        name: value
        for name, value in zip(LINE_COLUMNS, line, strict=True)
        if bytes(value) != b"null"
    }
    for name in _PAYLOADS:
        if name in event:
            event[name] = Raw(_read_text(event[name]).encode())
    return event


def _text_of(payload: Any) -> str:
    return str(payload, "utf-8") if isinstance(payload, Raw) else _encode(payload).decode()


def _on_one_line(payload: Raw) -> Raw:
    """Take line breaks and tabs out of JSON, where they stand between values only."""
    return Raw(bytes(payload).translate(_SPACES))


def _has_other_escapes(lines: bytes) -> bool:
    """Tell whether JSON holds an escape other than those of the backslash and the quote."""
    return b"\\" in lines.replace(b"\\\\", b"").replace(b'\\"', b"")


_SPACES = bytes.maketrans(b"\n\r\t", b"   ")
