"""Requests and answers of the reports on one day and the periods that end with it."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from app.period import FIRST_DAY, LAST_DAY
from app.schemas.figures import SOURCES, Elapsed, Money, Rate, from_field
from app.traffic import TrafficQuery


class DayQuery(TrafficQuery):
    """The day of a report; today by default, in the reporting time zone."""

    date = fields.Date(load_default=None, validate=validate.Range(FIRST_DAY, LAST_DAY))


class ActiveQuery(DayQuery):
    """The day that the periods end with, and how to count."""

    method = fields.String(
        load_default="auto",
        validate=validate.OneOf(["auto", "exact", "sketch"]),
        metadata={
            "description": "exact counts events, sketch merges the sketches of the days, auto "
            "takes sketches only where events are purged"
        },
    )


class ReasonCounts(fields.Dict):
    """Events that are left out, by the reason; the empty one stands for the rarest of a day."""

    def __init__(self) -> None:
        described: dict[str, Any] = {
            "description": "events that are left out, by the reason, such as bot or test"
        }
        super().__init__(keys=fields.String(), values=fields.Integer(), metadata=described)


class TypeCount(Schema):
    """Events of one type from one source."""

    event_type = fields.String()
    source = fields.String()
    events = fields.Integer()
    unique_users = fields.Integer()
    unique_anonymous = fields.Integer()


class TopProduct(Schema):
    """A product's counters on one day."""

    product_id = fields.String()
    name = fields.String(allow_none=True)
    views = fields.Integer()
    sales = fields.Integer()
    revenue = Money()


class SessionFigures(Schema):
    """Sessions by the 30-minute rule; they end with their day."""

    sessions = fields.Integer()
    events = fields.Integer(metadata={"description": "those of the sessions: nobody's have none"})
    events_per_session = Rate(allow_none=True)
    mean_duration_s = Elapsed(allow_none=True)
    bounce_rate = Rate(
        allow_none=True, metadata={"description": "share of the sessions with one event"}
    )


class DailySummary(Schema):
    """One day: totals, types and products."""

    date = fields.Date()
    total_events = fields.Integer()
    unique_users = fields.Integer()
    unique_anonymous = fields.Integer(
        metadata={"description": "anonymous ids that are linked to no user"}
    )
    by_type = fields.List(fields.Nested(TypeCount))
    top_products = fields.List(fields.Nested(TopProduct))
    excluded = ReasonCounts()
    source = from_field(*SOURCES)


class ErrorBounds(Schema):
    """How far the truth lies from an estimate, as a share of it, with 95 %."""

    users = Rate()
    anonymous = Rate()
    total = Rate()


class PeopleCount(Schema):
    """Different people seen in a period. A person counts once, however many ids were linked."""

    users = fields.Integer()
    anonymous = fields.Integer()
    total = fields.Integer()
    estimate = fields.Boolean(metadata={"description": "true: merged from sketches"})
    relative_error = fields.Nested(
        ErrorBounds, metadata={"description": "of an estimate, at 95 %; else absent"}
    )
    complete = fields.Boolean(
        metadata={"description": "false: a day was purged before it was sketched"}
    )
    source = from_field(*SOURCES)


class ActiveUsers(Schema):
    """People seen on a day, and in the 7 and 30 days that end with it."""

    date = fields.Date()
    day = fields.Nested(PeopleCount, allow_none=True)
    week = fields.Nested(PeopleCount, allow_none=True)
    month = fields.Nested(
        PeopleCount,
        allow_none=True,
        metadata={"description": "null when it was to be exact and a part of it is purged"},
    )
    stickiness = Rate(
        allow_none=True, metadata={"description": "people of the day per people of the month"}
    )
    source = from_field(*SOURCES)
