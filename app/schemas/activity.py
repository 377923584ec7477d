"""Requests and answers about what people did: analytics, a person's summary, event types."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from app.schemas.events import MAX_ACTIVITY_DAYS, days_field, moment_field, text_field
from app.schemas.figures import Elapsed, Rate, from_field
from app.traffic import TrafficQuery
from intake.contract import MAX_ID

_COUNTS: dict[str, Any] = {"keys": fields.String(), "values": fields.Integer()}


class ActivityQuery(TrafficQuery):
    """Whose activity, and when; everybody's of the last 30 days by default."""

    user_id = text_field(MAX_ID)
    days = days_field(MAX_ACTIVITY_DAYS, "the last days up to now; 30 when no time is given")
    since = moment_field("events that happened then or later")
    until = moment_field("events that happened before")


class ActiveDay(Schema):
    """The day with the most events."""

    date = fields.Date()
    weekday = fields.String()
    events = fields.Integer()


class ActiveHour(Schema):
    """An hour of the day, and the events in it."""

    hour = fields.Integer(metadata={"description": "0 to 23, in the reporting time zone"})
    events = fields.Integer()


class ActionCount(Schema):
    """An action and how often it was done."""

    action = fields.String()
    events = fields.Integer()


class Duration(Schema):
    """How long an action took, of those events that say so."""

    action = fields.String()
    events = fields.Integer()
    p50_ms = Elapsed()
    p90_ms = Elapsed()
    mean_ms = Elapsed()


class Gaps(Schema):
    """Seconds from one action of a person to the next one of the same session."""

    gaps = fields.Integer()
    median_s = Elapsed(allow_none=True)
    p90_s = Elapsed(allow_none=True)
    people_share = Rate(
        metadata={
            "description": "the share of people who were measured: 1, but less for everybody's "
            "activity with more than 200,000 events"
        }
    )


class ActivityAnswer(Schema):
    """What was done in a span of time."""

    user_id = fields.String(allow_none=True)
    since = fields.AwareDateTime()
    until = fields.AwareDateTime()
    total_events = fields.Integer()
    events_by_category = fields.Dict(**_COUNTS)
    events_by_type = fields.Dict(**_COUNTS)
    events_by_day = fields.Dict(keys=fields.Date(), values=fields.Integer())
    most_active_day = fields.Nested(ActiveDay, allow_none=True)
    most_common_action = fields.Nested(ActionCount, allow_none=True)
    peak_hours = fields.List(fields.Nested(ActiveHour))
    durations = fields.List(fields.Nested(Duration))
    time_between_actions = fields.Nested(Gaps)
    source = from_field("events")


class SummaryQuery(TrafficQuery):
    """How far a summary looks back."""

    days = fields.Integer(
        load_default=14,
        validate=validate.Range(1, MAX_ACTIVITY_DAYS),
        metadata={"description": "the last days up to now"},
    )


class ActionAnswer(Schema):
    """Something that was done, once or several times in a row."""

    event_type = fields.String()
    event_category = fields.String()
    event_action = fields.String()
    entity_type = fields.String(allow_none=True)
    entity_id = fields.String(allow_none=True)
    occurred_at = fields.AwareDateTime()
    ago = fields.String()
    times = fields.Integer()


class EntityAnswer(Schema):
    """Something that was worked on."""

    entity_type = fields.String()
    entity_id = fields.String()
    events = fields.Integer()
    last_at = fields.AwareDateTime()


class Pattern(Schema):
    """Types of events that follow each other within a session."""

    event_types = fields.List(fields.String())
    times = fields.Integer()


class SummaryAnswer(Schema):
    """A person's latest activity, and the same as a text for a prompt."""

    user_id = fields.String()
    days = fields.Integer()
    total_events = fields.Integer(attribute="events")
    complete = fields.Boolean(
        metadata={"description": "false: only the latest 2,000 events were looked at"}
    )
    sessions = fields.Integer()
    active_days = fields.Integer()
    streak_days = fields.Integer(metadata={"description": "active days in a row up to now"})
    recent_actions = fields.List(fields.Nested(ActionAnswer))
    most_active_hours = fields.List(fields.Nested(ActiveHour))
    common_patterns = fields.List(fields.Nested(Pattern))
    entities = fields.List(fields.Nested(EntityAnswer))
    projects = fields.List(fields.Nested(EntityAnswer))
    completions = fields.List(fields.Nested(ActionAnswer))
    completed = fields.Integer()
    text = fields.String()
    source = from_field("events")


class EventTypeAnswer(Schema):
    """One type of the catalogue."""

    name = fields.String()
    category = fields.String()
    action = fields.String()
    colour = fields.String()
    counter = fields.String(
        allow_none=True, metadata={"description": "the product counter that it moves"}
    )
    sign = fields.Integer(metadata={"description": "-1: it takes off, as a refund does"})
    weight = fields.Float(metadata={"description": "the interest it shows, as training sees it"})
    synonyms = fields.List(fields.String())
    own = fields.Boolean(metadata={"description": "true: from EVENT_TYPES_FILE"})


class EventTypeList(Schema):
    """The catalogue of event types, by name."""

    event_types = fields.List(fields.Nested(EventTypeAnswer))
    next_cursor = fields.String(allow_none=True)
