"""Make the event that is sent from what the application told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from millrace_client.encode import format_moment
from millrace_client.errors import DroppedError
from millrace_client.fields import FIELD_NAMES
from millrace_client.ids import uuid7
from millrace_client.scope import merge_fields


def make_event(
    event_type: str,
    properties: Mapping[str, Any] | None,
    fields: Mapping[str, Any],
    *,
    shared: Mapping[str, Any],
) -> dict[str, Any]:
    """Make an event with its id and its time; `shared` are fields under those of the event.

    An event with a `message_id` is named by it. Its time is part of its identity, so it gets none
    that would differ when the same thing is told again. Raises DroppedError.
    """
    if not isinstance(event_type, str) or not event_type:
        raise DroppedError("invalid", f"event_type must be a text, got {event_type!r}")
    unknown = fields.keys() - FIELD_NAMES
    if unknown:
        raise DroppedError(
            "invalid", f"no field is named {', '.join(sorted(unknown))}: use properties"
        )
    event = {"event_type": event_type, **merge_fields(shared, fields)}
    if properties:
        event["properties"] = {**properties}
    if "items" in event:
        event["items"] = list(event["items"])
    ensure_id(event)
    if "occurred_at" in event:
        event["occurred_at"] = format_moment(event["occurred_at"])
    elif not event.get("message_id"):
        event["occurred_at"] = format_moment(datetime.now(timezone.utc))
    return event


def ensure_id(event: dict[str, Any]) -> dict[str, Any]:
    """Give an event an id, unless it has one: without it a resend would count twice."""
    if not event.get("message_id") and not event.get("event_id"):
        event["event_id"] = uuid7()
    return event
