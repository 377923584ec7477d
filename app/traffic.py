"""Which traffic a report counts: what nobody has flagged, or all that is stored."""

from __future__ import annotations

from datetime import date
from typing import Any

from marshmallow import Schema, fields, validate

from app.database import current_session
from app.errors import Problem
from app.period import PeriodQuery, read_period
from models.daily_aggregates import read_sealed_through
from models.traffic import ALL, COUNTED, Traffic

#: Days whose events are counted while somebody waits; as many as the longest month has.
MAX_ALL_DAYS = 31


class TrafficQuery(Schema):
    """Which events count."""

    traffic = fields.String(
        load_default=COUNTED,
        validate=validate.OneOf([COUNTED, ALL]),
        metadata={
            "description": "counted leaves out what is flagged as excluded, such as bots and "
            "tests; all counts every stored event"
        },
    )


class ReportQuery(PeriodQuery, TrafficQuery):
    """The days of a report, and which of their events count."""


def read_report(query: dict[str, Any]) -> tuple[date, date, Traffic]:
    """Give the first and the last day of a report, both inside, and its traffic.

    Raises Problem 422.
    """
    first, last = read_period(query)
    return first, last, read_traffic(query, first, last)


def read_traffic(query: dict[str, Any], first: date, last: date) -> Traffic:
    """Give the traffic of a report on some days: all of it only while its events are stored.

    Aggregates know counted traffic only. Raises Problem 422.
    """
    if query["traffic"] == COUNTED:
        return COUNTED
    if (last - first).days >= MAX_ALL_DAYS:
        raise Problem(
            422,
            "period_too_long",
            f"a report on all traffic may span {MAX_ALL_DAYS} days, got {(last - first).days + 1}",
        )
    sealed = read_sealed_through(current_session())
    if sealed is not None and first <= sealed:
        raise Problem(
            422,
            "events_purged",
            f"all traffic is counted from events, and those up to {sealed} are purged",
        )
    return ALL
