"""Requests and answers of the reports over a range of days."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from app.schemas.figures import SOURCES, Money, Rate, from_field
from app.schemas.lists import MAX_PAGE
from app.schemas.reports import ReasonCounts, SessionFigures
from app.traffic import ReportQuery
from intake.contract import MAX_ID, MAX_NAME
from models.daily_recommendations import PLACE


class LimitedQuery(ReportQuery):
    """Which days, and how many rows."""

    limit = fields.Integer(load_default=10, validate=validate.Range(1, MAX_PAGE))


class TopQuery(LimitedQuery):
    """Values of what to rank."""

    property = fields.String(
        required=True,
        validate=validate.Length(1, MAX_ID),
        metadata={"description": "a column of events, such as device_type, or a key of properties"},
    )


class OverTimeQuery(ReportQuery):
    """Which events to count in which buckets."""

    interval = fields.String(load_default="day", validate=validate.OneOf(["hour", "day"]))
    group_by = fields.String(
        load_default="none", validate=validate.OneOf(["event_type", "source", "none"])
    )
    event_type = fields.String(load_default=None, validate=validate.Length(1, MAX_NAME))
    source = fields.String(
        load_default=None,
        validate=validate.Length(max=MAX_NAME),
        metadata={"description": "empty: the events without a source"},
    )


class PopularQuery(LimitedQuery):
    """Which products, and what makes them popular."""

    category = fields.String(load_default=None, validate=validate.Length(max=MAX_ID))
    sort = fields.String(
        load_default="score",
        validate=validate.OneOf(["score", "views", "sales", "revenue"]),
        metadata={
            "description": "score = views + 2 clicks + 3 favorites + 3 cart additions + 5 sales"
        },
    )


class RangeAnswer(Schema):
    """The days of a report, and whether all of them are in its figures."""

    date_from = fields.Date()
    date_to = fields.Date(metadata={"description": "the day after the last"})
    complete = fields.Boolean(
        metadata={"description": "false: days were purged before they were counted in this way"}
    )
    whole_from = fields.Date(metadata={"description": "the first day with all its figures"})
    source = from_field(*SOURCES)


class TopValue(Schema):
    """One value."""

    value = fields.String()
    events = fields.Integer()
    share = Rate(metadata={"description": "of the events that have a value"})


class TopAnswer(RangeAnswer):
    """The most frequent values of a property."""

    property = fields.String()
    total = fields.Integer(metadata={"description": "events that have a value"})
    other = fields.Integer(
        metadata={"description": "those of values that were too rare on their day to be kept"}
    )
    values = fields.List(fields.Nested(TopValue))


class Bucket(Schema):
    """One hour or day."""

    start = fields.AwareDateTime(format="iso")
    events = fields.Integer()


class Counts(fields.List[int]):
    """Whole numbers as they are: of thousands, converting each takes longer than counting them."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return value


class SeriesAnswer(Schema):
    """One type or source."""

    name = fields.String(
        allow_none=True, metadata={"description": "null: the smaller groups together"}
    )
    events = Counts(fields.Integer(), metadata={"description": "in the order of the buckets"})


class OverTimeAnswer(RangeAnswer):
    """Events in each bucket, none left out."""

    interval = fields.String()
    timezone = fields.String()
    buckets = fields.List(fields.Nested(Bucket))
    series = fields.List(fields.Nested(SeriesAnswer))


class PopularProduct(Schema):
    """One product's interest."""

    product_id = fields.String()
    name = fields.String(allow_none=True)
    category = fields.String(allow_none=True)
    score = fields.Integer()
    views = fields.Integer()
    clicks = fields.Integer()
    sales = fields.Integer()
    revenue = Money()


class PopularAnswer(RangeAnswer):
    """Products in their order."""

    products = fields.List(fields.Nested(PopularProduct))


class ShareAnswer(Schema):
    """A share with the 95 % Wilson score interval."""

    value = Rate(allow_none=True, metadata={"description": "null of nothing"})
    low = Rate()
    high = Rate()


class Sides(fields.String):
    """Sides of a recommendation, with commas between them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        names = super()._deserialize(value, attr, data, **kwargs).split(",")
        for name in names:
            if name not in PLACE:
                raise ValidationError(f"Must be of {', '.join(PLACE)}, got {name[:MAX_NAME]!r}.")
        return names


class EffectivenessQuery(ReportQuery):
    """Which days, and what to group them by."""

    group_by = Sides(
        load_default=[],
        metadata={
            "description": f"one or more of {', '.join(PLACE)}, with commas between them; "
            "`groups` has a row for each combination",
            "example": "model_version,rung",
        },
    )


class UnlistedAnswer(Schema):
    """What is told without the `recommendation_id` of a list, as it says itself."""

    shown = fields.Integer()
    clicked = fields.Integer()
    purchased = fields.Integer(metadata={"description": "by `rec_purchased`"})
    revenue = Money()
    click_through_rate = fields.Nested(
        ShareAnswer, metadata={"description": "clicked of shown, of whatever lists they are"}
    )


class PlaceAnswer(Schema):
    """Figures of one group of recommended products."""

    placement = fields.String(allow_none=True, metadata={"description": "null: all of them"})
    position = fields.Integer(
        allow_none=True, metadata={"description": "0: not said; null: all of them"}
    )
    rung = fields.String(
        allow_none=True,
        metadata={
            "description": "unknown: the id of the list is not ours; unlisted: told without an id; "
            "null: all of them"
        },
    )
    model_version = fields.Integer(
        allow_none=True, metadata={"description": "0: without a model; null: all of them"}
    )
    lists = fields.Integer(
        allow_none=True,
        metadata={"description": "lists with an id; null by position or rung: a list has several"},
    )
    shown = fields.Integer(metadata={"description": "products shown, once a list"})
    clicked = fields.Integer(metadata={"description": "those clicked within 30 minutes"})
    purchased = fields.Integer(
        metadata={"description": "order lines within 7 days of the last such click"}
    )
    converted = fields.Integer(metadata={"description": "products shown that led to any of them"})
    revenue = Money(metadata={"description": "the value of the order lines"})
    click_through_rate = fields.Nested(ShareAnswer, metadata={"description": "clicked of shown"})
    purchase_rate = fields.Nested(ShareAnswer, metadata={"description": "converted of shown"})
    unlisted = fields.Nested(
        UnlistedAnswer,
        metadata={"description": "told without the id of a list; in none of the other figures"},
    )


class EffectivenessAnswer(RangeAnswer):
    """How well recommendations work. Clicks and purchases count on the day of the list."""

    total = fields.Nested(PlaceAnswer)
    by_placement = fields.List(fields.Nested(PlaceAnswer))
    by_position = fields.List(fields.Nested(PlaceAnswer))
    by_rung = fields.List(fields.Nested(PlaceAnswer))
    by_model_version = fields.List(fields.Nested(PlaceAnswer))
    by_place = fields.List(
        fields.Nested(PlaceAnswer), metadata={"description": "by placement and position"}
    )
    group_by = fields.List(fields.String())
    groups = fields.List(fields.Nested(PlaceAnswer), metadata={"description": "by `group_by`"})


class DaySessions(SessionFigures):
    """The sessions of one day."""

    date = fields.Date(attribute="day")


class SessionsAnswer(RangeAnswer):
    """Sessions of all days and of each."""

    total = fields.Nested(SessionFigures)
    by_day = fields.List(fields.Nested(DaySessions))


class DayExcluded(Schema):
    """What the figures of one day leave out."""

    date = fields.Date()
    events = fields.Integer()
    by_reason = ReasonCounts()


class ExcludedAnswer(RangeAnswer):
    """What the figures of all days leave out, and those of each."""

    total = fields.Integer(metadata={"description": "events that are left out"})
    by_reason = ReasonCounts()
    by_day = fields.List(fields.Nested(DayExcluded))
