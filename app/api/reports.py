"""The first reports: a day's summary, active users, export. Admin token required."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from flask import Response

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.csv_stream import stream_csv
from app.database import current_session, db
from app.schemas.reports import ActiveUsers, DailySummary, DayQuery, ExportQuery
from app.state import state
from models.reports import EXPORT_COLUMNS, periods_of, read_day, read_people, stream_events

blueprint = ApiBlueprint(
    "reports", __name__, url_prefix="/api/admin/analytics", description="Reports"
)
_ADMIN: list[dict[str, list[str]]] = [{"admin_token": []}]


@blueprint.route("/daily-summary/", strict_slashes=False)
@blueprint.doc(summary="One day: events, people, types, products", security=_ADMIN)
@require_scope("read")
@blueprint.arguments(DayQuery, location="query")
@blueprint.response(200, DailySummary)
def daily_summary(query: dict[str, Any]) -> dict[str, Any]:
    """Give one day's figures and say where they are from."""
    day = query["date"] or _today()
    figures = read_day(current_session(), day, zone=state().settings.report_timezone)
    return {
        "date": day,
        "total_events": figures.total.events,
        "unique_users": figures.total.unique_users,
        "unique_anonymous": figures.total.unique_anonymous,
        "by_type": figures.types,
        "top_products": figures.products,
        "source": figures.source,
    }


@blueprint.route("/active-users/", strict_slashes=False)
@blueprint.doc(summary="Different people in a day, week and month", security=_ADMIN)
@require_scope("read")
@blueprint.arguments(DayQuery, location="query")
@blueprint.response(200, ActiveUsers)
def active_users(query: dict[str, Any]) -> dict[str, Any]:
    """Count different people in the day and in the 7 and 30 days that end with it."""
    day = query["date"] or _today()
    answer: dict[str, Any] = {"date": day, "source": "events"}
    for name, (first, last) in periods_of(day).items():
        people = read_people(current_session(), first, last, zone=state().settings.report_timezone)
        answer[name] = people and {
            "users": people[0],
            "anonymous": people[1],
            "total": sum(people),
        }
    return answer


@blueprint.route("/export/", strict_slashes=False)
@blueprint.doc(
    summary="A day's events as CSV",
    security=_ADMIN,
    responses={"200": {"description": "CSV, streamed", "content": {"text/csv": {}}}},
)
@require_scope("export")
@blueprint.arguments(ExportQuery, location="query")
def export(query: dict[str, Any]) -> Response:
    """Stream a day's events as CSV."""
    day = query["date"] or _today()
    rows = stream_events(
        db.engine,
        day,
        zone=state().settings.report_timezone,
        event_type=query["event_type"],
        limit=query["limit"],
    )
    name = f"events-{day}.csv"
    return Response(
        stream_csv(EXPORT_COLUMNS, rows),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _today() -> date:
    return datetime.fromtimestamp(state().clock(), UTC).astimezone(state().settings.zone).date()
