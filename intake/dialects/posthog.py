"""PostHog's events in the words of our contract: a pure translation, one event at a time.

PostHog's own properties begin with a dollar sign. What we have a field for is taken from there, the
rest stays under its name. The rules are those of PostHog/posthog, rust/capture.
"""

from __future__ import annotations

from typing import Any

from event_ids import MAX_ID_DRIFT_MS, uuid7_ms
from intake.contract import MAX_INT, MAX_NAME
from intake.dialects.commerce import add_commerce
from intake.dialects.content import ContentNames
from intake.dialects.numbers import find_id, read_number
from intake.dialects.posthog_people import take, take_people
from intake.messages import KEPT
from intake.rows import Rejected

_PAGES = ("$pageview", "$pageleave", "$screen")
#: What a page's address and title are called where reports look for them.
_PAGE_NAMES = {
    "url": "$current_url",
    "path": "$pathname",
    "referrer": "$referrer",
    "name": "$screen_name",
}
_AGENTS = ("$raw_user_agent", "$user_agent", "$useragent")
_WEB = ("web", "js", "posthog-js", "posthog-js-lite")
#: How long an event may have waited on its device; a clock that was put right meanwhile shows.
_LONGEST_WAIT_MS = 86_400_000
#: The SDKs of apps, with the source that their events have; None: the system of the device.
_APPS = {
    "posthog-ios": "ios",
    "posthog-android": "android",
    "posthog-flutter": None,
    "posthog-react-native": None,
}
_SYSTEMS = {"ios": "ios", "ipados": "ios", "android": "android"}
#: The typed options of protocol v1, by the property that the older protocol has for each.
_OPTIONS = {
    "$cookieless_mode": "cookieless_mode",
    "$ignore_sent_at": "disable_skew_correction",
    "$process_person_profile": "process_person_profile",
    "$product_tour_id": "product_tour_id",
}


def translate(
    message: Any, *, came_ms: int, sent_ms: int | None = None, names: ContentNames | None = None
) -> dict[str, Any]:
    """Make the event of one of PostHog's. Raises Rejected.

    `came_ms` is when it came, and `sent_ms` when by the sender's clock: an event may say only for
    how long it had waited then. `names` are those of its request: older SDKs give their events a
    time, and no id.
    """
    properties = _gather_properties(message)
    name = message.get("event")
    uuid = message.get("uuid") or message.get("messageId") or properties.get("$insert_id")
    event: dict[str, Any] = {
        "event_type": name,
        "message_id": uuid,
        **take_people(message, properties),
        "session_id": take(properties, "$session_id", find_id),
        "device_type": take(properties, "$device_type", _read_word),
        "source": _find_source(properties),
        "context": _take_context(properties),
        **_read_time(message, properties, uuid, came_ms, sent_ms),
    }
    if name == "$pageleave":
        event["duration_ms"] = _read_duration(properties.get("$prev_pageview_duration"))
    if name in _PAGES:
        properties = {**_name_page(properties), **properties}
    add_commerce(event, properties)
    if name == "$groupidentify":
        event["entity_type"] = _read_word(properties.get("$group_type"))
        event["entity_id"] = find_id(properties.get("$group_key"))
    found = {field: value for field, value in event.items() if value not in (None, {}, "")}
    if names is not None and not uuid and message.get("timestamp"):
        found["message_id"] = names.name(found)
    return found


def from_v1(message: Any, *, sdk: str) -> Any:
    """Give an event of protocol v1 the form that the older protocol has for it.

    `sdk` is the header PostHog-Sdk-Info, such as posthog-python/7.91.1.
    """
    if not isinstance(message, dict):
        return message
    properties, options = message.get("properties"), message.get("options")
    if properties is not None and not isinstance(properties, dict):
        return message
    lib, _, version = sdk.rpartition("/")
    said = {"$lib": lib, "$lib_version": version} if lib else {}
    if isinstance(options, dict):
        said |= {ours: options[name] for ours, name in _OPTIONS.items() if name in options}
    said |= {f"${name}": message[name] for name in ("session_id", "window_id") if name in message}
    return {**message, "properties": {**(properties or {}), **said}}


def read_device(message: Any) -> str | None:
    """Name the device that an event was made on; None for one that a back end made."""
    properties = message.get("properties") if isinstance(message, dict) else None
    if not isinstance(properties, dict):
        return None
    return find_id(properties.get("$device_id")) or find_id(properties.get("distinct_id"))


def is_of_app(message: Any) -> bool:
    """Tell whether an event comes from an app on the person's own device."""
    properties = message.get("properties") if isinstance(message, dict) else None
    lib = properties.get("$lib") if isinstance(properties, dict) else None
    return isinstance(lib, str) and lib in _APPS


def _gather_properties(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        raise Rejected("invalid", "an event must be a JSON object")
    properties = message.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise Rejected("invalid", "properties must be a JSON object")
    gathered = {**(properties or {})}
    gathered |= {name: message[name] for name in ("$set", "$set_once") if message.get(name)}
    # Browsers put the write key here, and it is no part of what happened.
    gathered.pop("token", None)
    return gathered


def _read_time(
    message: dict[str, Any],
    properties: dict[str, Any],
    uuid: Any,
    came_ms: int,
    sent_ms: int | None,
) -> dict[str, Any]:
    """Give when an event happened, and whether that is not the device's clock's word.

    No id is made of a time that is counted back from now: at the next try it would be another.
    """
    if message.get("timestamp"):
        is_kept = _is_true(properties.get("$ignore_sent_at"))
        return {"occurred_at": message["timestamp"], "clock": KEPT if is_kept else None}
    waited_ms = read_number(message.get("offset"))
    if waited_ms is None or not 0 <= waited_ms < came_ms:
        return {}
    made_ms = uuid7_ms(uuid) if isinstance(uuid, str) else None
    if made_ms is not None and sent_ms is not None and 0 <= sent_ms - made_ms < _LONGEST_WAIT_MS:
        # By the same clock; the wait is that of the first try, however often it was sent since.
        return {"occurred_at": made_ms}
    moment = came_ms - round(waited_ms)
    if uuid and (made_ms is None or abs(made_ms - moment) >= MAX_ID_DRIFT_MS):
        return {}
    return {"occurred_at": moment, "clock": KEPT}


def _find_source(properties: dict[str, Any]) -> str | None:
    """Say where an event comes from, as far as its SDK tells: web, ios, android or server."""
    lib, system = properties.get("$lib"), properties.get("$os")
    if lib in _WEB:
        return "web"
    if isinstance(lib, str) and lib in _APPS:
        return _APPS[lib] or (_SYSTEMS.get(system.lower()) if isinstance(system, str) else None)
    is_posthogs = isinstance(lib, str) and lib.startswith("posthog-")
    return "server" if is_posthogs or properties.get("$is_server") is True else None


def _take_context(properties: dict[str, Any]) -> dict[str, Any]:
    library = {
        "name": take(properties, "$lib", find_id),
        "version": take(properties, "$lib_version", find_id),
    }
    agents = [properties.pop(name, None) for name in _AGENTS]
    context = {
        "ip": properties.pop("$ip", None),
        "userAgent": next((agent for agent in agents if isinstance(agent, str)), None),
        "library": {name: value for name, value in library.items() if value},
    }
    return {name: value for name, value in context.items() if value}


def _name_page(properties: dict[str, Any]) -> dict[str, Any]:
    named = {ours: properties.get(theirs) for ours, theirs in _PAGE_NAMES.items()}
    return {name: value for name, value in named.items() if value not in (None, "$direct")}


def _read_word(value: Any) -> str | None:
    """Read a word such as Desktop in small letters; None for anything else."""
    return value.lower() if isinstance(value, str) and 0 < len(value) <= MAX_NAME else None


def _read_duration(value: Any) -> int | None:
    seconds = read_number(value)
    return None if seconds is None or not 0 <= seconds <= MAX_INT / 1000 else round(seconds * 1000)


def _is_true(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1")
    return isinstance(value, bool | int | float) and bool(value)
