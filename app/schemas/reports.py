"""Requests and answers of the reports."""

from __future__ import annotations

from datetime import date

from marshmallow import Schema, fields, validate

from intake.contract import MAX_NAME

MAX_EXPORT = 5_000_000
#: Days that ids can name, with room for the days around them that a report looks at.
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9999, 1, 1)


class DayQuery(Schema):
    """The day of a report; today by default, in the reporting time zone."""

    date = fields.Date(load_default=None, validate=validate.Range(FIRST_DAY, LAST_DAY))


class ExportQuery(DayQuery):
    """Which events to export."""

    event_type = fields.String(load_default=None, validate=validate.Length(1, MAX_NAME))
    limit = fields.Integer(load_default=10_000, validate=validate.Range(1, MAX_EXPORT))


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
    revenue = fields.Decimal(as_string=True)


class DailySummary(Schema):
    """One day: totals, types and products."""

    date = fields.Date()
    total_events = fields.Integer()
    unique_users = fields.Integer()
    unique_anonymous = fields.Integer()
    by_type = fields.List(fields.Nested(TypeCount))
    top_products = fields.List(fields.Nested(TopProduct))
    source = fields.String(data_key="from", metadata={"description": "aggregates or events"})


class People(Schema):
    """Different people seen in a period."""

    users = fields.Integer()
    anonymous = fields.Integer()
    total = fields.Integer()


class ActiveUsers(Schema):
    """People seen on a day, and in the 7 and 30 days that end with it."""

    date = fields.Date()
    day = fields.Nested(People, allow_none=True)
    week = fields.Nested(People, allow_none=True)
    month = fields.Nested(
        People, allow_none=True, metadata={"description": "null when a part of it is purged"}
    )
    source = fields.String(data_key="from", metadata={"description": "aggregates or events"})
