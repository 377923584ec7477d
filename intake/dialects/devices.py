"""What a message's context tells of where it comes from: the source and the kind of device."""

from __future__ import annotations

from typing import Any

_OF_WEB = frozenset({"analytics.js", "RudderLabs JavaScript SDK"})
_OF_SERVERS = frozenset(
    {
        "@segment/analytics-node", "Analytics.NET", "analytics-go", "analytics-java",
        "analytics-node", "analytics-php", "analytics-python", "analytics-ruby", "analytics-rust",
        "rudder-analytics-php", "rudder-analytics-ruby",
    }
)  # fmt: skip
#: Systems, as `os.name` and `device.type` spell them, and libraries of one system.
_PLATFORMS = {
    "android": "android",
    "ios": "ios",
    "iphone os": "ios",
    "ipados": "ios",
    "analytics-android": "android",
    "analytics-ios": "ios",
}
_KINDS = frozenset({"desktop", "mobile", "tablet"})
_ON_DESKS = frozenset({"Windows", "macOS", "Linux", "Chrome OS", "Chromium OS"})


def find_source(context: dict[str, Any], channel: Any = None) -> str | None:
    """Tell web, android, ios or server from the library and the system; None when neither says."""
    library = _text_in(context, "library", "name")
    if channel == "web" or library in _OF_WEB:
        return "web"
    for name in (_text_in(context, "os", "name"), _text_in(context, "device", "type"), library):
        platform = _PLATFORMS.get(name.lower())
        if platform is not None:
            return platform
    return "server" if channel == "server" or library in _OF_SERVERS else None


def find_device_type(context: dict[str, Any]) -> str | None:
    """Tell desktop, mobile or tablet where the device says so, and never guess."""
    if "device" in context:
        kind = _text_in(context, "device", "type").lower()
        if kind in _KINDS:
            return kind
        model = _text_in(context, "device", "model")
        if model.startswith("iPad"):
            return "tablet"
        if model.startswith("iPhone"):
            return "mobile"
    hints = context.get("userAgentData")
    if not isinstance(hints, dict):
        return None
    if hints.get("mobile") is True:
        return "mobile"
    # A tablet says that it is not mobile, too.
    is_on_desk = hints.get("mobile") is False and hints.get("platform") in _ON_DESKS
    return "desktop" if is_on_desk else None


def _text_in(context: dict[str, Any], part: str, name: str) -> str:
    found = context.get(part)
    text = found.get(name) if isinstance(found, dict) else None
    return text if isinstance(text, str) else ""
