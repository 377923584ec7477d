"""CloudEvents as events of ours: a pure translation of one, as its JSON format has it.

An event in HTTP headers is given that form first. Source: cloudevents/spec, version 1.0.2.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from event_ids import uuid7_ms
from event_types import CATALOGUE, SYNONYMS, canonical_name
from intake.contract import MAX_ID, MAX_NAME
from intake.dialects.commerce import add_commerce
from intake.dialects.numbers import find_id, read_number, read_whole
from intake.rows import Rejected

REQUIRED = ("specversion", "id", "source", "type")
_VERSION = re.compile(r"1\.\d{1,3}")
_VERSION_OF_TYPE = re.compile(r"\.v\d+$")
#: Extension attributes that are fields of ours; their names have small letters and digits only.
_EXTENSIONS = {
    "userid": "user_id",
    "anonymousid": "anonymous_id",
    "sessionid": "session_id",
    "productid": "product_id",
    "entitytype": "entity_type",
    "devicetype": "device_type",
    "eventcategory": "event_category",
    "eventaction": "event_action",
    "excluded": "excluded",
}
#: Fields of ours that the data may have, as at our own doors.
_IDS = {
    "user_id": "user_id",
    "userId": "user_id",
    "anonymous_id": "anonymous_id",
    "anonymousId": "anonymous_id",
    "session_id": "session_id",
    "sessionId": "session_id",
}
_WORDS = ("entity_type", "device_type", "event_category", "event_action", "excluded")
_TAKEN = frozenset({*REQUIRED, *_EXTENSIONS, "subject", "time", "data", "data_base64"})


def translate(message: Any) -> dict[str, Any]:
    """Make the event of a CloudEvent in its JSON format. Raises Rejected."""
    if not isinstance(message, dict):
        raise Rejected("invalid", "a CloudEvent must be a JSON object")
    _check(message)
    kind = message["type"]
    made_ms = uuid7_ms(message["id"])
    event: dict[str, Any] = {
        "event_type": name_type(kind),
        "message_id": _name_message(message["source"], message["id"]),
        "occurred_at": message.get("time") or made_ms,
        "source": message["source"] if len(message["source"]) <= MAX_NAME else None,
        "context": {"cloudevent": {"type": kind, **_other_attributes(message)}},
    }
    event["properties"] = _add_data(event, message)
    subject = find_id(message.get("subject"))
    if subject is not None and subject != event.get("entity_id"):
        # What the data was found to be about is something else.
        event["entity_id"], event["entity_type"] = subject, None
    event |= _take_words(event["properties"])
    for name, field in _EXTENSIONS.items():
        if message.get(name) is not None:
            event[field] = message[name]
    return {field: value for field, value in event.items() if value not in (None, {}, "")}


def name_type(kind: str) -> str:
    """Give the event type of a CloudEvent's type, which begins with a domain name by custom.

    `com.shop.product_viewed` and `com.shop.product.viewed.v1` are known by their ends; a word alone
    only where it is the catalogue's own, since others use it for something else. A type that is
    not known is kept whole.
    """
    if canonical_name(kind) in CATALOGUE:
        return kind
    words = _VERSION_OF_TYPE.sub("", kind.lower()).replace("-", "_").split(".")
    for name in ("_".join(words[-2:]), words[-1]):
        if name in CATALOGUE or ("_" in name and name in SYNONYMS):
            return canonical_name(name)
    return kind


def _check(message: dict[str, Any]) -> None:
    for name in REQUIRED:
        value = message.get(name)
        if not isinstance(value, str) or not value:
            raise Rejected("invalid", f"a CloudEvent needs the attribute {name}, a text")
    if not _VERSION.fullmatch(message["specversion"]):
        raise Rejected("invalid", f"specversion must be 1.0, got {message['specversion'][:20]!r}")


def _name_message(source: str, cloud_id: str) -> str:
    """Name an event by its source and id, which together are those of no other event."""
    # No source has a space: it is a URI.
    name = f"{source} {cloud_id}"
    if len(name) <= MAX_ID:
        return name
    return "ce-" + blake2b(name.encode(errors="replace"), digest_size=16).hexdigest()


def _other_attributes(message: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in message.items() if name not in _TAKEN and value is not None
    }


def _add_data(event: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """Put what the data says into an event's fields; give what is left of it as properties."""
    data = message.get("data")
    if not isinstance(data, dict):
        given = {name: message.get(name) for name in ("data", "data_base64")}
        return {name: value for name, value in given.items() if value is not None}
    rest = dict(data)
    inner = rest.get("properties")
    if isinstance(inner, dict):
        del rest["properties"]
        rest = {**rest, **inner}
    for name, field in _IDS.items():
        found = find_id(rest.get(name))
        if found is not None and event.setdefault(field, found) == found:
            del rest[name]
    duration_ms = read_whole(rest.get("duration_ms"))
    if duration_ms is not None:
        event["duration_ms"] = duration_ms
        del rest["duration_ms"]
    add_commerce(event, rest)
    left = dict(event["properties"])
    value = read_number(left.get("value"))
    if value is not None and event.setdefault("value", value) == value:
        del left["value"]
    return left


def _take_words(properties: dict[str, Any]) -> dict[str, Any]:
    words = {name: properties.get(name) for name in _WORDS}
    found = {
        name: word
        for name, word in words.items()
        if isinstance(word, str) and len(word) <= MAX_NAME
    }
    for name in found:
        del properties[name]
    return found
