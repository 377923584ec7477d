"""Spans of days, half-open: from the first day up to, and without, the last."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from marshmallow import Schema, fields, validate

from app.clock import today
from app.errors import Problem

#: Days that ids can name, with room for the days around them that a report looks at.
FIRST_DAY, LAST_DAY = date(1970, 1, 5), date(9999, 1, 1)
DEFAULT_DAYS = 30
MAX_DAYS = 3660


class PeriodQuery(Schema):
    """The days of a report in the reporting time zone; the last 30 up to today by default."""

    date_from = fields.Date(
        load_default=None,
        validate=validate.Range(FIRST_DAY, LAST_DAY),
        metadata={"description": "first day"},
    )
    date_to = fields.Date(
        load_default=None,
        validate=validate.Range(FIRST_DAY, LAST_DAY),
        metadata={"description": "the day after the last: ranges are half-open"},
    )


def read_period(query: dict[str, Any]) -> tuple[date, date]:
    """Give the first and the last day, both inside, of a query's half-open range.

    Without date_to it ends with today, without date_from it has 30 days. Raises Problem 422.
    """
    end = query["date_to"] or max(today() + timedelta(days=1), query["date_from"] or FIRST_DAY)
    if query["date_to"] is None and query["date_from"] is not None and end <= query["date_from"]:
        end = query["date_from"] + timedelta(days=1)
    first = query["date_from"] or max(FIRST_DAY, end - timedelta(days=DEFAULT_DAYS))
    if end <= first:
        raise Problem(
            422, "empty_period", f"date_to must lie after date_from, got {first} to {end}"
        )
    if (end - first).days > MAX_DAYS:
        raise Problem(
            422, "period_too_long", f"a report may span {MAX_DAYS} days, got {(end - first).days}"
        )
    return first, end - timedelta(days=1)
