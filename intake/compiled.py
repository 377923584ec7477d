"""The fast reader of one event: msgspec structs built from the marshmallow contract at import.

It accepts a subset of what the contract accepts, with the same result (a property test holds
that); whatever it refuses is read again by the contract, which has the last word.
"""

from __future__ import annotations

import types
from typing import Annotated, Any

import msgspec
import orjson
from marshmallow import INCLUDE, ValidationError, fields, validate
from msgspec import Meta, Raw

from intake.contract import (
    FIELD_SYNONYMS,
    MAX_BAD_ITEMS,
    MAX_ID,
    MAX_ITEMS,
    MAX_NAME,
    EventSchema,
    Identifier,
    ItemSchema,
    JudgedItem,
    Moment,
    Name,
    Payload,
)
from intake.payload import MAX_KEYS, MAX_RAW_BYTES, check_payload, is_plain, is_within_bounds
from intake.rows import Row

# Larger numbers are floats to the decoder that reads for the contract, and no ids.
_WHOLE = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


def _range(field: fields.Field[Any]) -> Meta:
    (rule,) = [item for item in field.validators if isinstance(item, validate.Range)]
    return Meta(ge=rule.min, le=rule.max)


def _type_of(field: fields.Field[Any], *, loose: bool) -> Any:
    """Give the msgspec type that accepts a part of what a field accepts.

    The strict types accept only what can be stored unchanged; the loose ones numbers for
    identifiers and empty texts for none, too.
    """
    shortest = 0 if loose else 1
    match field:
        case Identifier():
            text = Annotated[str, Meta(min_length=shortest, max_length=MAX_ID)]
            return text | _WHOLE if loose else text
        case Name():
            return Annotated[str, Meta(min_length=shortest, max_length=MAX_NAME)]
        case Payload() | fields.List():
            return Raw
        case Moment():
            return str | int | float
        case fields.Integer():
            return Annotated[int, _range(field)]
        case fields.Float():
            return Annotated[float, _range(field)]
    raise TypeError(f"no fast type for {field!r}")


def _optional(kind: Any) -> Any:
    # msgspec cannot tell raw JSON from null: a raw null is looked for by the reader.
    return kind if kind is Raw else kind | None


def _struct(
    name: str,
    schema: type[Any],
    *,
    loose: bool,
    synonyms: tuple[str, ...] = (),
    bases: tuple[type[msgspec.Struct], ...] = (),
) -> Any:
    """Build a struct with the fields of a schema.

    A field that the schema does not name is refused, unless the schema takes any.
    """
    declared = schema._declared_fields
    kinds = {key: _type_of(field, loose=loose) for key, field in declared.items()}
    kinds |= {synonym: kinds[FIELD_SYNONYMS[synonym]] for synonym in synonyms}
    required = {key for key, field in declared.items() if field.required}
    members: list[Any] = [(key, kinds[key]) for key in kinds if key in required]
    members += [(key, _optional(kinds[key]), None) for key in kinds if key not in required]
    return msgspec.defstruct(
        name,
        members,
        bases=bases,
        forbid_unknown_fields=schema.Meta.unknown != INCLUDE,
        omit_defaults=True,
        gc=False,
    )


def _event_struct(*, loose: bool) -> Any:
    return _struct("FastEvent", EventSchema, loose=loose, synonyms=FAST_SYNONYMS, bases=(Row,))


#: Synonyms worth the fast way: what the SDKs of the native API send.
FAST_SYNONYMS = ("timestamp", "payload", "metadata")

_NUL = b"\\u0000"
_BRACE, _NULL = ord("{"), ord("n")
_NESTED = frozenset({dict, list})
_StrictEvent = _event_struct(loose=False)
_read_strictly = msgspec.json.Decoder(_StrictEvent).decode
_read_loosely = msgspec.json.Decoder(_event_struct(loose=True)).decode
_FastItem = _struct("FastItem", ItemSchema, loose=True)
_EventList: Any = types.GenericAlias(list, _StrictEvent)
_FastRequest: Any = msgspec.defstruct("FastRequest", [("events", _EventList)], gc=False)
_read_all = msgspec.json.Decoder(_FastRequest).decode
_IDENTIFIERS = [
    name for name, field in EventSchema._declared_fields.items() if isinstance(field, Identifier)
]
_NAMES = [name for name, field in EventSchema._declared_fields.items() if isinstance(field, Name)]


def read_fast(raw: bytes) -> Any | None:
    """Read one event's JSON; None when only the contract can judge it.

    The caller has made sure that the text is UTF-8.
    """
    if _NUL in raw:
        return None
    try:
        event = _read_strictly(raw)
    except RecursionError:
        return None
    except msgspec.MsgspecError:
        event = _read_otherwise(raw)
        if event is None:
            return None
    return _settle(event, is_short=len(raw) <= MAX_RAW_BYTES)


def read_all_fast(body: bytes, *, longest: int) -> list[Any] | None:
    """Read the events of a whole request at once; None when one of them needs a look by itself.

    `longest` is the length of its longest event. Most requests hold usual events only, and reading
    them together takes two thirds of the time.
    """
    if longest > MAX_RAW_BYTES or _NUL in body:
        return None
    try:
        events: list[Any] = _read_all(body).events
    except (msgspec.MsgspecError, RecursionError):
        return None
    for event in events:
        if _settle(event, is_short=True) is None:
            return None
    return events


def _settle(event: Any, *, is_short: bool) -> Any | None:
    """Put what stands under other names into its place; None when only the contract can judge."""
    if event.original_at is not None or event.clock is not None:
        return None
    if event.items is not None:
        items = _read_items(event.items)
        if items is None:
            return None
        event.items = items or None
    if event.timestamp is not None:
        if event.occurred_at is not None:
            return None
        event.occurred_at, event.timestamp = event.timestamp, None
    if event.payload is not None:
        if event.properties is not None:
            return None
        event.properties, event.payload = event.payload, None
    if event.metadata is not None:
        if event.properties is not None:
            return None
        event.properties, event.metadata = event.metadata, None
    if event.properties is not None and not (is_short and is_plain(event.properties)):
        if not _is_sound(event.properties):
            return None
        event.properties = _without_null(event.properties)
    if event.context is not None and not (is_short and is_plain(event.context)):
        if not _is_sound(event.context):
            return None
        event.context = _without_null(event.context)
    return event


def _read_otherwise(raw: bytes) -> Any | None:
    """Read an event with numbers as identifiers or with empty texts, and make it as the others."""
    try:
        event = _read_loosely(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
    for name in _NAMES:
        setattr(event, name, getattr(event, name) or None)
    if event.event_type is None:
        return None
    for name in _IDENTIFIERS:
        setattr(event, name, _as_text(getattr(event, name)))
    return event


def _read_items(raw: Raw) -> list[Any] | None:
    """Read an event's items, which may have fields of the client's own; None: see `read_fast`."""
    try:
        items = orjson.loads(memoryview(raw))
    except orjson.JSONDecodeError:
        return None
    if items is None:
        return []
    if not isinstance(items, list) or len(items) > MAX_ITEMS:
        return None
    return items if all(map(_settle_item, items)) else None


def settle_items(event: Any) -> Any:
    """Judge the usual items of a decoded event, which the contract then passes over."""
    items = event.get("items") if isinstance(event, dict) else None
    if not isinstance(items, list) or len(items) > MAX_ITEMS:
        return event
    left = 0
    for place, item in enumerate(items):
        if _settle_item(item) and _is_storable(item):
            items[place] = JudgedItem(item)
            continue
        left += 1
        if left == MAX_BAD_ITEMS:
            break
    return event


def _is_storable(item: Any) -> bool:
    try:
        check_payload(item)
    except ValidationError:
        return False
    return True


def _settle_item(item: Any) -> bool:
    """Make the fields that the contract names what it makes of them; False: it must judge."""
    try:
        named = msgspec.convert(item, _FastItem)
        if len(item) > MAX_KEYS or not _NESTED.isdisjoint(map(type, item.values())):
            check_payload(item)
    except (msgspec.ValidationError, ValidationError):
        return False
    item["product_id"] = _as_text(named.product_id)
    if named.value is not None:
        item["value"] = named.value
    return True


def _as_text(value: str | int | None) -> str | None:
    return str(value) if type(value) is int else value or None  # type: ignore[return-value]


def _is_sound(payload: Raw) -> bool:
    first = memoryview(payload)[0]
    return first == _NULL or (first == _BRACE and is_within_bounds(payload))


def _without_null(payload: Raw) -> Raw | None:
    return None if memoryview(payload)[0] == _NULL else payload
