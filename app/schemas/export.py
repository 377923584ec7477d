"""What an export is asked for."""

from __future__ import annotations

from marshmallow import fields, validate

from app.period import FIRST_DAY, LAST_DAY
from app.schemas.events import EventQuery

DEFAULT_LIMIT = 10_000
MAX_LIMIT = 5_000_000


def _day(description: str) -> fields.Date:
    return fields.Date(
        load_default=None,
        validate=validate.Range(FIRST_DAY, LAST_DAY),
        metadata={"description": description},
    )


class ExportQuery(EventQuery):
    """Which events to export, and how: the filters of the event list, and days."""

    format = fields.String(load_default="csv", validate=validate.OneOf(("csv", "ndjson")))
    date = _day("one day in the reporting time zone; today, when no other time is given")
    date_from = _day("first day")
    date_to = _day("the day after the last: ranges are half-open")
    limit = fields.Integer(load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT))
    cursor = fields.UUID(  # type: ignore[assignment]
        load_default=None,
        metadata={
            "description": "the id of the last event that was read: the export goes on behind it"
        },
    )
    header = fields.Boolean(
        load_default=None,
        metadata={"description": "CSV's line of names; by default unless a cursor is given"},
    )
