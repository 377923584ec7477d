"""From the query of a request to the filter of events that it means."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.clock import now
from app.errors import Problem
from intake.rows import resolve_type
from models.event_list import EQUAL, NONE, EventFilter
from models.traffic import COUNTED, Traffic


def read_filter(query: dict[str, Any]) -> EventFilter:
    """Give the filter that a checked query means. Raises Problem 422."""
    if query["entity_id"] is not None and query["entity_type"] is None:
        raise Problem(422, "entity_type_missing", "entity_id means nothing without entity_type")
    since, until = read_span(query)
    names = [name.strip() for name in (query["event_type"] or "").split(",")]
    if query["event_type"] is not None and not any(names):
        raise Problem(422, "no_event_type", "event_type must name at least one type")
    return EventFilter(
        **{name: query[name] for name in (*EQUAL, "excluded")},
        event_types=tuple(dict.fromkeys(resolve_type(name)[0] for name in names if name)),
        since=since,
        until=until,
    )


def excluded_by(traffic: Traffic) -> str | None:
    """Give the filter of a traffic's events by why they are excluded."""
    return NONE if traffic == COUNTED else None


def read_span(
    query: dict[str, Any], *, default_days: int | None = None
) -> tuple[datetime | None, datetime | None]:
    """Give the half-open span of `days`, or of `since` and `until`. Raises Problem 422."""
    since, until, days = query["since"], query["until"], query["days"]
    if days is not None and (since is not None or until is not None):
        raise Problem(422, "ambiguous_period", "give days, or since and until, but not both")
    if since is None and (days := days or default_days) is not None:
        since = _before(until or now(), days)
    if since is not None and until is not None and until <= since:
        raise Problem(422, "empty_period", f"until must lie after {since}, got {until}")
    return since, until


def _before(moment: datetime, days: int) -> datetime:
    try:
        return moment - timedelta(days=days)
    except OverflowError:
        raise Problem(422, "empty_period", f"nothing happened before {moment}") from None
