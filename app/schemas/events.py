"""Requests and answers of the event log and the activity log."""

from __future__ import annotations

from datetime import UTC

from marshmallow import Schema, fields, validate

from app.schemas.figures import Exact, from_field
from app.schemas.lists import PageQuery
from intake.contract import MAX_ID, MAX_NAME, EventSchema, Moment, Payload

MAX_DAYS = 36_500
#: The longest span that is analysed.
MAX_ACTIVITY_DAYS = 366


def text_field(longest: int, description: str | None = None) -> fields.String:
    """Declare a text that may be left out."""
    return fields.String(
        load_default=None,
        validate=validate.Length(1, longest),
        metadata={"description": description} if description else {},
    )


def moment_field(description: str) -> fields.AwareDateTime:
    """Declare an ISO 8601 moment that may be left out; without an offset it is in UTC."""
    return fields.AwareDateTime(
        format="iso",
        load_default=None,
        default_timezone=UTC,
        metadata={"description": description},
    )


def days_field(longest: int, description: str) -> fields.Integer:
    """Declare a number of days that may be left out."""
    return fields.Integer(
        load_default=None,
        validate=validate.Range(1, longest),
        metadata={"description": description},
    )


class EventQuery(PageQuery):
    """Which events to list: those that meet every condition that is given."""

    user_id = text_field(MAX_ID)
    anonymous_id = text_field(MAX_ID)
    session_id = text_field(MAX_ID)
    product_id = text_field(MAX_ID)
    event_type = text_field(2000, "types with commas between; synonyms are understood")
    event_category = text_field(MAX_NAME)
    entity_type = text_field(MAX_NAME)
    entity_id = text_field(MAX_ID, "with entity_type")
    excluded = text_field(
        MAX_NAME,
        "a reason, such as bot; none: events that reports count; any: those that they leave out; "
        "without it, all",
    )
    days = days_field(MAX_DAYS, "the last days up to now")
    since = moment_field("events that happened then or later")
    until = moment_field("events that happened before")


class EventAnswer(Schema):
    """One stored event."""

    event_id = fields.UUID()
    occurred_at = fields.AwareDateTime(metadata={"description": "when it happened, corrected"})
    received_at = fields.AwareDateTime(metadata={"description": "when it came to us"})
    event_type = fields.String()
    event_category = fields.String()
    event_action = fields.String()
    user_id = fields.String(allow_none=True)
    anonymous_id = fields.String(allow_none=True)
    session_id = fields.String(allow_none=True)
    source = fields.String(allow_none=True)
    device_type = fields.String(allow_none=True)
    product_id = fields.String(allow_none=True)
    entity_type = fields.String(allow_none=True)
    entity_id = fields.String(allow_none=True)
    quantity = fields.Integer(allow_none=True)
    value = Exact(allow_none=True)
    duration_ms = fields.Integer(allow_none=True)
    items = fields.List(fields.Dict(), allow_none=True)
    properties = fields.Dict(allow_none=True)
    context = fields.Dict(allow_none=True)
    message_id = fields.String(allow_none=True, metadata={"description": "the client's own id"})
    key_id = fields.String(allow_none=True, metadata={"description": "of the write key"})
    ip_address = fields.String(allow_none=True)
    user_agent = fields.String(allow_none=True)
    original_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "the sender's own time, where it was corrected"}
    )
    sent_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "when the sender says that it was sent"}
    )
    clock = fields.String(
        allow_none=True,
        metadata={
            "description": "what was done about the sender's time: corrected, clamped or wrong; "
            "null: nothing"
        },
    )
    excluded = fields.String(
        allow_none=True,
        metadata={"description": "why reports leave the event out; null: they count it"},
    )


class EventList(Schema):
    """A page of events, the newest id first."""

    events = fields.List(fields.Nested(EventAnswer), metadata={"description": "the events"})
    next_cursor = fields.String(allow_none=True)


class ActivityEvent(EventSchema):
    """One activity event: the native contract, with the names that activity logs use."""

    metadata = Payload(allow_none=True, metadata={"description": "another name of properties"})
    context_snapshot = Payload(allow_none=True, metadata={"description": "another name of context"})
    timestamp = Moment(allow_none=True, metadata={"description": "another name of occurred_at"})


class ActivityBatch(Schema):
    """Activity events. The list may also be sent by itself."""

    events = fields.List(
        fields.Nested(ActivityEvent), required=True, metadata={"description": "the events"}
    )


class EventAccepted(Schema):
    """The accepted event of a request that sent one."""

    event_id = fields.UUID()


class LogAnswer(EventAccepted):
    """The accepted activity."""

    status = fields.String(metadata={"description": "accepted"})


class Verdict(Schema):
    """What became of one event of a list."""

    index = fields.Integer(metadata={"description": "its place in the list, from 0"})
    event_id = fields.UUID(allow_none=True)
    status = fields.String(metadata={"description": "ok or rejected"})
    reason = fields.String(metadata={"description": "why not, for a program"})
    detail = fields.String(metadata={"description": "why not, for a person"})
    errors = fields.Dict()


class LogBatchAnswer(Schema):
    """The accepted events, and a verdict on each."""

    events_created = fields.Integer()
    event_ids = fields.List(fields.UUID())
    results = fields.List(fields.Nested(Verdict))


class SessionQuery(PageQuery):
    """Which part of a session."""

    user_id = text_field(MAX_ID, "the person's, where two people may have the same session id")


class TimelineEvent(EventAnswer):
    """One event of a session."""

    gap_ms = fields.Integer(
        allow_none=True, metadata={"description": "time since the event before; null for the first"}
    )


class SessionAnswer(Schema):
    """A session: figures of the whole, and its events, the first one first."""

    session_id = fields.String()
    user_ids = fields.List(fields.String())
    anonymous_ids = fields.List(fields.String())
    total_events = fields.Integer()
    events_by_type = fields.Dict(keys=fields.String(), values=fields.Integer())
    first_at = fields.AwareDateTime()
    last_at = fields.AwareDateTime()
    duration_ms = fields.Integer(metadata={"description": "from the first event to the last"})
    events = fields.List(
        fields.Nested(TimelineEvent), metadata={"description": "the events, the first one first"}
    )
    next_cursor = fields.String(allow_none=True)
    source = from_field("events")


class CleanupQuery(Schema):
    """What to delete: the old events of everybody, or the (old) events of a person."""

    older_than_days = days_field(MAX_DAYS, "events of the days before so many days ago, in UTC")
    user_id = text_field(MAX_ID)
    anonymous_id = text_field(MAX_ID, "with user_id: events that carry both")
    dry_run = fields.Boolean(
        load_default=True, metadata={"description": "false: really delete; true: only count"}
    )


class CleanupAnswer(Schema):
    """What a cleanup deleted, or would delete."""

    dry_run = fields.Boolean()
    events = fields.Integer()
    by_type = fields.Dict(keys=fields.String(), values=fields.Integer())
    by_day = fields.Dict(keys=fields.Date(), values=fields.Integer())
    oldest = fields.AwareDateTime(allow_none=True)
    newest = fields.AwareDateTime(allow_none=True)
    older_than = fields.Date(
        allow_none=True, metadata={"description": "the first day, in UTC, that is kept"}
    )
    more = fields.Boolean(metadata={"description": "true: ask again, there is more to delete"})
    queued = fields.String(metadata={"description": "the task that will delete them"})
