"""Segment's and RudderStack's messages as events: a pure translation, one message at a time.

Live requests and history from a file come through here, and get the same events with the same ids.
The contract judges what comes out; refused here is only what has no meaning in Segment's own words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from intake.contract import MAX_NAME
from intake.dialects.commerce import add_commerce
from intake.dialects.content import name_content
from intake.dialects.devices import find_device_type, find_source
from intake.dialects.numbers import read_id
from intake.messages import KEPT
from intake.rows import Rejected

#: What a page says of itself in its context, where a server's message has it only there.
_OF_PAGE = ("path", "url", "title", "referrer", "search")
_MINUTE_MS = 60_000


def translate(
    message: Any,
    *,
    kind: str | None = None,
    context: Any = None,
    received_ms: int | None = None,
) -> dict[str, Any]:
    """Make the event of one decoded message. Raises Rejected.

    `kind` is the message's type where a path says it; `context` the one that a batch shares;
    `received_ms` when a live request came, by which messages without an id and a time are told
    apart.
    """
    if not isinstance(message, dict):
        raise Rejected("invalid", "a message must be a JSON object")
    given = message.get("type") if kind is None else kind
    add = _ADD.get(given) if isinstance(given, str) else None
    if add is None:
        raise Rejected(
            "unknown_message", f"type must be one of {', '.join(_ADD)}, got {str(given)[:40]!r}"
        )
    event: dict[str, Any] = {
        "event_type": given,
        "message_id": read_id(message.get("messageId")),
        "user_id": read_id(message.get("userId")),
        "anonymous_id": read_id(message.get("anonymousId")),
        "occurred_at": message.get("timestamp") or message.get("originalTimestamp"),
    }
    if message.get("timestamp") and message.get("originalTimestamp"):
        # The caller named the moment, beside what the device's clock said.
        event["clock"] = KEPT
    found = _merge(context, message.get("context"))
    if found is not None:
        event["context"] = found
    said = found if isinstance(found, dict) else {}
    source = find_source(said, message.get("channel"))
    if source is not None:
        event["source"] = source
    device_type = find_device_type(said)
    if device_type is not None:
        event["device_type"] = device_type
    session = said.get("sessionId") or said.get("session_id")
    if session is not None:
        event["session_id"] = read_id(session)
    add(event, message, said)
    if event["user_id"] is None and event["anonymous_id"] is None:
        raise Rejected("no_actor", "a message needs a userId or an anonymousId")
    if event["message_id"] is None:
        event["message_id"] = _name(event, received_ms)
    return event


def _merge(shared: Any, own: Any) -> Any:
    if not shared or not isinstance(shared, dict):
        return own
    return {**shared, **own} if isinstance(own, dict) else own or shared


def _name(event: dict[str, Any], received_ms: int | None) -> str:
    """Name an event that came without an id.

    Without a time of its own it is the same event only within a minute: people do the same thing
    again.
    """
    minute = ""
    if event["occurred_at"] is None and received_ms is not None:
        minute = str(received_ms // _MINUTE_MS)
    return name_content(event, apart=minute)


def _add_track(event: dict[str, Any], message: dict[str, Any], context: dict[str, Any]) -> None:
    name = message.get("event")
    if name is None or name == "":
        raise Rejected("no_event_name", "a track message needs the name of its event")
    event["event_type"] = name
    properties = message.get("properties")
    if not properties:
        return
    event["properties"] = properties
    if isinstance(properties, dict) and isinstance(name, str) and len(name) <= MAX_NAME:
        add_commerce(event, properties)


def _add_page(event: dict[str, Any], message: dict[str, Any], context: dict[str, Any]) -> None:
    event["event_type"] = "page_view"
    given = message.get("properties") or {}
    event["properties"] = given
    if not isinstance(given, dict):
        return
    page = context.get("page")
    seen = page if isinstance(page, dict) else {}
    more = {name: message[name] for name in ("name", "category") if message.get(name)}
    more |= {name: seen[name] for name in _OF_PAGE if seen.get(name)}
    event["properties"] = {**more, **given}


def _add_identify(event: dict[str, Any], message: dict[str, Any], context: dict[str, Any]) -> None:
    event["properties"] = _read_traits(message, context)
    if "traits" in context:
        # They are the event's own here, and would be kept twice.
        event["context"] = {name: value for name, value in context.items() if name != "traits"}


def _add_group(event: dict[str, Any], message: dict[str, Any], context: dict[str, Any]) -> None:
    group = read_id(message.get("groupId"))
    if group is None:
        raise Rejected("no_group", "a group message needs a groupId")
    traits = message.get("traits") or {}
    event["properties"] = {"groupId": group, **traits} if isinstance(traits, dict) else traits
    event["entity_type"], event["entity_id"] = "group", group


def _add_alias(event: dict[str, Any], message: dict[str, Any], context: dict[str, Any]) -> None:
    previous = read_id(message.get("previousId"))
    if previous is None or event["user_id"] is None:
        raise Rejected("no_previous_id", "an alias message needs a previousId and a userId")
    # An event with both ids links the one to the other. A previousId that is a user's is linked
    # too, which changes nothing: two users with events of their own are not made one.
    event["properties"] = {"previousId": previous}
    if event["anonymous_id"] not in (None, previous):
        event["properties"]["anonymousId"] = event["anonymous_id"]
    event["anonymous_id"] = previous


def _read_traits(message: dict[str, Any], context: dict[str, Any]) -> Any:
    """Give the traits, which RudderStack's SDKs put into the context, or into both."""
    own, shared = message.get("traits"), context.get("traits")
    if isinstance(own, dict) and isinstance(shared, dict):
        return {**shared, **own}
    return own or shared


_ADD: dict[str, Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], None]] = {
    "track": _add_track,
    "identify": _add_identify,
    "page": _add_page,
    "screen": _add_page,
    "group": _add_group,
    "alias": _add_alias,
}
