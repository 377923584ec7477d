"""The fast reader of one event: a msgspec struct built from the marshmallow contract at import.

It accepts a subset of what the contract accepts, with the same result (a property test holds
that); whatever it refuses is read again by the contract, which has the last word.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from marshmallow import fields, validate
from msgspec import Meta, Raw

from intake.contract import (
    FIELD_SYNONYMS,
    MAX_ID,
    MAX_ITEMS,
    MAX_NAME,
    EventSchema,
    Identifier,
    ItemSchema,
    Moment,
    Name,
    Payload,
)
from intake.payload import MAX_RAW_BYTES, is_plain, is_within_bounds
from intake.rows import Row

# Larger numbers are floats to the decoder that reads for the contract, and no ids.
_WHOLE = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


def _range(field: fields.Field[Any]) -> Meta:
    (rule,) = [item for item in field.validators if isinstance(item, validate.Range)]
    return Meta(ge=rule.min, le=rule.max)


def _type_of(field: fields.Field[Any]) -> Any:
    """Give the msgspec type that accepts a part of what a field accepts, unchanged."""
    match field:
        case Identifier():
            return Annotated[str, Meta(max_length=MAX_ID)] | _WHOLE
        case Name():
            return Annotated[str, Meta(max_length=MAX_NAME)]
        case Payload():
            return Raw
        case Moment():
            return str | int | float
        case fields.Integer():
            return Annotated[int, _range(field)]
        case fields.Float():
            return Annotated[float, _range(field)]
        case fields.List():
            return Annotated[list[FastItem], Meta(max_length=MAX_ITEMS)]  # type: ignore[valid-type]
    raise TypeError(f"no fast type for {field!r}")


def _optional(field: fields.Field[Any]) -> Any:
    kind = _type_of(field)
    # msgspec cannot tell raw JSON from null: a raw null is looked for by the reader.
    return kind if kind is Raw else kind | None


def _struct(
    name: str,
    schema: type[Any],
    synonyms: tuple[str, ...] = (),
    bases: tuple[type[msgspec.Struct], ...] = (),
) -> Any:
    """Build a struct with the fields of a schema; a field it does not name is refused."""
    declared = schema._declared_fields
    members: list[Any] = [
        (key, _type_of(field)) if field.required else (key, _optional(field), None)
        for key, field in sorted(declared.items(), key=lambda pair: not pair[1].required)
    ]
    members += [
        (synonym, _optional(declared[FIELD_SYNONYMS[synonym]]), None) for synonym in synonyms
    ]
    return msgspec.defstruct(
        name, members, bases=bases, forbid_unknown_fields=True, omit_defaults=True, gc=False
    )


FastItem = _struct("FastItem", ItemSchema)
#: Synonyms worth the fast way: what the SDKs of the native API send.
FAST_SYNONYMS = ("timestamp", "payload", "metadata")
FastEvent = _struct("FastEvent", EventSchema, FAST_SYNONYMS, bases=(Row,))

_NUL = b"\\u0000"
_BRACE, _NULL = ord("{"), ord("n")
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(FastEvent)


def read_fast(raw: bytes) -> Any | None:
    """Read one event's JSON; None when only the contract can judge it.

    The caller has made sure that the text is UTF-8.
    """
    if _NUL in raw:
        return None
    try:
        event = _decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if not event.event_type:
        return None
    if event.timestamp is not None:
        if event.occurred_at is not None:
            return None
        event.occurred_at = event.timestamp
        event.timestamp = None
    for synonym in (event.payload, event.metadata):
        if synonym is not None:
            if event.properties is not None:
                return None
            event.properties = synonym
    event.payload = event.metadata = None
    is_short = len(raw) <= MAX_RAW_BYTES
    for name in ("properties", "context"):
        payload = getattr(event, name)
        if payload is None or (is_short and is_plain(payload)):
            continue
        first = memoryview(payload)[0]
        if first == _NULL:
            setattr(event, name, None)
        elif first != _BRACE or not is_within_bounds(payload):
            return None
    return event
