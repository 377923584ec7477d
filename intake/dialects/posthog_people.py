"""Who a PostHog event is of: its one distinct_id is a user's id or an anonymous one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
from marshmallow import ValidationError

from intake.contract import MAX_ID
from intake.dialects.numbers import find_id
from intake.payload import check_payload
from intake.rows import Rejected

#: All visitors of a site that keeps no ids share this one.
_NOBODY = "$posthog_cookieless"
_ALIASES = ("$create_alias", "$merge_dangerously")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def take_people(message: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """Give the user_id and anonymous_id of an event; the properties they are made of are taken.

    Raises Rejected when the event is of nobody.
    """
    name = message.get("event")
    inner = properties.pop("distinct_id", None)
    given = (message.get("distinct_id"), message.get("$distinct_id"), inner)
    distinct_id = next((found for value in given if (found := _write_id(value))), None)
    if distinct_id is None:
        raise Rejected("no_actor", "an event needs a distinct_id")
    if name in _ALIASES:
        return _read_alias(distinct_id, properties)
    device_id = take(properties, "$device_id", find_id)
    if distinct_id == _NOBODY or (device_id is None and _is_of_group(distinct_id, message)):
        return {}
    if name == "$identify":
        before = properties.pop("$anon_distinct_id", None) or message.get("$anon_distinct_id")
        return _pair(distinct_id, _write_id(before) or device_id)
    if _is_anonymous(distinct_id, device_id, properties):
        return {"anonymous_id": distinct_id}
    return _pair(distinct_id, device_id)


def take(properties: dict[str, Any], name: str, read: Callable[[Any], str | None]) -> str | None:
    """Take a property for a field of ours; what the field cannot hold stays a property."""
    found = read(properties.get(name))
    if found is not None:
        del properties[name]
    return found


def _is_anonymous(distinct_id: str, device_id: str | None, properties: dict[str, Any]) -> bool:
    if distinct_id == device_id or properties.get("$user_state") == "anonymous":
        return True
    is_identified = properties.get("$is_identified")
    if isinstance(is_identified, bool):
        return not is_identified
    return properties.get("$process_person_profile") is False


def _is_of_group(distinct_id: str, message: dict[str, Any]) -> bool:
    """Tell whether a back end described a group without a person: its SDK makes up an id."""
    return message.get("event") == "$groupidentify" and (
        distinct_id.startswith("$") or _UUID.fullmatch(distinct_id) is not None
    )


def _read_alias(distinct_id: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Tell which of two ids of a person is the anonymous one, which PostHog does not say.

    It is the one that a machine has made. Otherwise it is the alias; but posthog-python sends as
    distinct_id what its callers name the previous id.
    """
    alias = _write_id(properties.pop("alias", None))
    if alias is None:
        raise Rejected("no_alias", "an alias event needs an alias")
    is_turned = properties.get("$lib") == "posthog-python"
    made = [_UUID.fullmatch(each) is not None for each in (distinct_id, alias)]
    if made[0] is not made[1]:
        is_turned = made[0]
    return _pair(alias, distinct_id) if is_turned else _pair(distinct_id, alias)


def _pair(user_id: str, anonymous_id: str | None) -> dict[str, Any]:
    return {"user_id": user_id, "anonymous_id": None if anonymous_id == user_id else anonymous_id}


def _write_id(value: Any) -> str | None:
    """Write an id of any type as PostHog does: as JSON where it is no text, and cut."""
    if value is None or isinstance(value, str):
        return value[:MAX_ID] if value else None
    try:
        check_payload(value)
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()[:MAX_ID]
    except (ValidationError, TypeError) as error:
        raise Rejected("invalid", f"an id cannot be read: {error}") from None
