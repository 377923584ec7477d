"""Reports on one day, and on the periods that end with it."""

from __future__ import annotations

from typing import Any

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.clock import today
from app.database import current_session
from app.schemas.reports import ActiveQuery, ActiveUsers, DailySummary, DayQuery
from app.state import state
from app.traffic import read_traffic
from models.reports.people import People, read_active
from models.reports.summary import read_day

blueprint = ApiBlueprint(
    "reports", __name__, url_prefix="/api/admin/analytics", description="Reports on a day"
)


@blueprint.route("/daily-summary/")
@blueprint.doc(summary="One day: events, people, types, products")
@require_scope("read")
@blueprint.arguments(DayQuery, location="query")
@blueprint.response(200, DailySummary)
def daily_summary(query: dict[str, Any]) -> dict[str, Any]:
    """Give one day's figures and say where they are from."""
    day = query["date"] or today()
    figures = read_day(
        current_session(),
        day,
        zone=state().settings.report_timezone,
        traffic=read_traffic(query, day, day),
    )
    return {
        "date": day,
        "total_events": figures.events,
        "unique_users": figures.unique_users,
        "unique_anonymous": figures.unique_anonymous,
        "by_type": figures.types,
        "top_products": figures.products,
        "excluded": figures.excluded,
        "source": figures.source,
    }


@blueprint.route("/active-users/")
@blueprint.doc(summary="Different people in a day, week and month")
@require_scope("read")
@blueprint.arguments(ActiveQuery, location="query")
@blueprint.response(200, ActiveUsers)
def active_users(query: dict[str, Any]) -> dict[str, Any]:
    """Count different people in the day and in the 7 and 30 days that end with it.

    All traffic is counted from events, whatever the method; null where these are purged.
    """
    day = query["date"] or today()
    found = read_active(
        current_session(),
        day,
        zone=state().settings.report_timezone,
        method=query["method"],
        traffic=query["traffic"],
    )
    one, month = found["day"], found["month"]
    sources = {people.source for people in found.values() if people is not None}
    return {
        "date": day,
        **{name: people and _show(people) for name, people in found.items()},
        "stickiness": (
            one.total.value / month.total.value if one and month and month.total.value else None
        ),
        "source": sources.pop() if len(sources) == 1 else "both",
    }


def _show(people: People) -> dict[str, Any]:
    counts = {"users": people.users, "anonymous": people.anonymous, "total": people.total}
    shown: dict[str, Any] = {name: count.value for name, count in counts.items()}
    if people.estimate:
        shown["relative_error"] = {name: count.relative_error for name, count in counts.items()}
    return {
        **shown,
        "estimate": people.estimate,
        "complete": people.complete,
        "source": people.source,
    }
