"""What people did: analytics of a span of time, and a summary of one person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.clock import now, today_utc
from app.database import current_session, db
from app.errors import Problem
from app.event_query import excluded_by, read_span
from app.schemas.activity import ActivityAnswer, ActivityQuery, SummaryAnswer, SummaryQuery
from app.schemas.events import MAX_ACTIVITY_DAYS
from app.state import state
from models.activity import Activity, read_activity
from models.activity_summary import Action, summarise
from models.activity_text import ago, write_summary
from models.event_list import EventFilter, read_page

blueprint = ApiBlueprint("people", __name__, url_prefix="/api", description="What people did")

DEFAULT_DAYS, PEAK_HOURS = 30, 3
#: Events that a summary looks at.
MAX_SUMMARISED = 2000


@blueprint.route("/events/analytics")
@blueprint.doc(summary="Totals, most active times, durations and gaps of one person or of all")
@require_scope("read")
@blueprint.arguments(ActivityQuery, location="query")
@blueprint.response(200, ActivityAnswer)
def analyse(query: dict[str, Any]) -> dict[str, Any]:
    """Tell from the events what was done. Days and hours are those of the reporting time zone."""
    since, until = _read_span(query)
    activity = read_activity(
        current_session(),
        EventFilter(
            user_id=query["user_id"],
            excluded=excluded_by(query["traffic"]),
            since=since,
            until=query["until"],
        ),
        zone=state().settings.report_timezone,
        today=today_utc(),
    )
    return {
        "user_id": query["user_id"],
        "since": since,
        "until": until,
        "total_events": activity.total,
        "events_by_category": activity.by_category,
        "events_by_type": activity.by_type,
        "events_by_day": activity.by_day,
        "most_active_day": _most_active_day(activity),
        "most_common_action": _most_common_action(activity),
        "peak_hours": [
            {"hour": hour, "events": events}
            for hour, events in _most_first(activity.by_hour)[:PEAK_HOURS]
        ],
        "durations": activity.durations,
        "time_between_actions": activity.gaps,
    }


@blueprint.route("/users/<path:user_id>/activity-summary/")
@blueprint.doc(summary="A person's latest activity, with a short text for an AI prompt")
@require_scope("read")
@blueprint.arguments(SummaryQuery, location="query")
@blueprint.response(200, SummaryAnswer)
def summarise_activity(query: dict[str, Any], user_id: str) -> dict[str, Any]:
    """Tell what a person did lately, from up to 2,000 of their latest events."""
    moment = now()
    page = read_page(
        db.engine,
        EventFilter(
            user_id=user_id,
            excluded=excluded_by(query["traffic"]),
            since=moment - timedelta(days=query["days"]),
        ),
        before=None,
        limit=MAX_SUMMARISED,
        today=today_utc(),
    )
    summary = summarise(page.events, zone=state().settings.zone, now=moment)
    return {
        **asdict(summary),
        "user_id": user_id,
        "days": query["days"],
        "complete": page.last_id is None,
        "recent_actions": _with_ago(summary.recent_actions, now=moment),
        "completions": _with_ago(summary.completions, now=moment),
        "most_active_hours": [
            {"hour": hour, "events": events} for hour, events in summary.most_active_hours
        ],
        "common_patterns": [
            {"event_types": pattern, "times": times} for pattern, times in summary.common_patterns
        ],
        "text": write_summary(summary, days=query["days"], now=moment),
    }


def _read_span(query: dict[str, Any]) -> tuple[datetime, datetime]:
    since, until = read_span(query, default_days=DEFAULT_DAYS)
    end = until or now()
    if since is None or end <= since:
        raise Problem(422, "empty_period", f"until must lie after {since}, got {end}")
    if end - since > timedelta(days=MAX_ACTIVITY_DAYS):
        raise Problem(
            422,
            "period_too_long",
            f"{MAX_ACTIVITY_DAYS} days can be analysed at once, got {(end - since).days}",
        )
    return since, end


def _most_first(counts: Counter[Any]) -> list[tuple[Any, int]]:
    """Give counts, the highest first; equal ones in the order of their keys."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _most_active_day(activity: Activity) -> dict[str, Any] | None:
    for day, events in _most_first(activity.by_day):
        return {"date": day, "weekday": f"{day:%A}", "events": events}
    return None


def _most_common_action(activity: Activity) -> dict[str, Any] | None:
    for action, events in _most_first(activity.by_action):
        return {"action": action, "events": events}
    return None


def _with_ago(actions: Sequence[Action], *, now: datetime) -> list[dict[str, Any]]:
    return [{**asdict(action), "ago": ago(action.occurred_at, now=now)} for action in actions]
