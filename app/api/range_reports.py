"""Reports over a range of days."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.database import current_session
from app.errors import Problem
from app.period import PeriodQuery, read_period
from app.schemas.range_reports import (
    EffectivenessAnswer,
    EffectivenessQuery,
    ExcludedAnswer,
    LimitedQuery,
    OverTimeAnswer,
    OverTimeQuery,
    PopularAnswer,
    PopularQuery,
    SessionsAnswer,
    TopAnswer,
    TopQuery,
)
from app.state import state
from app.traffic import ReportQuery, read_report
from models.daily_recommendations import PLACE
from models.reports.days import Days, read_days
from models.reports.excluded import read_excluded
from models.reports.over_time import read_over_time
from models.reports.products import read_popular
from models.reports.recommendations import read_recommendations
from models.reports.sessions import read_sessions
from models.reports.top import read_top

#: Days of a report by the hour.
MAX_HOURLY_DAYS = 62

blueprint = ApiBlueprint(
    "range_reports",
    __name__,
    url_prefix="/api/admin/analytics",
    description="Reports over a range of days",
)


@blueprint.route("/top/")
@blueprint.doc(summary="The most frequent values of a property or column")
@require_scope("read")
@blueprint.arguments(TopQuery, location="query")
@blueprint.response(200, TopAnswer)
def top(query: dict[str, Any]) -> dict[str, Any]:
    """Rank values by their events. Properties in REPORT_PROPERTIES outlive a purge."""
    return _top(query["property"], query)


@blueprint.route("/top-services/")
@blueprint.doc(summary="The most frequent values of service_id")
@require_scope("read")
@blueprint.arguments(LimitedQuery, location="query")
@blueprint.response(200, TopAnswer)
def top_services(query: dict[str, Any]) -> dict[str, Any]:
    """Rank services by their events."""
    return _top("service_id", query)


@blueprint.route("/events-over-time/")
@blueprint.doc(summary="Events by the hour or day, by type or source")
@require_scope("read")
@blueprint.arguments(OverTimeQuery, location="query")
@blueprint.response(200, OverTimeAnswer)
def events_over_time(query: dict[str, Any]) -> dict[str, Any]:
    """Count the events of each hour or day of the reporting time zone."""
    first, last, traffic = read_report(query)
    if query["interval"] == "hour" and (last - first).days >= MAX_HOURLY_DAYS:
        raise Problem(
            422,
            "period_too_long",
            f"by the hour a report may span {MAX_HOURLY_DAYS} days, got {(last - first).days + 1}",
        )
    chosen = {name: query[name] for name in ("interval", "group_by", "event_type", "source")}
    found = read_over_time(current_session(), first, last, zone=_zone(), traffic=traffic, **chosen)
    here = state().settings.zone
    return {
        **_range(found.days),
        "interval": query["interval"],
        "timezone": _zone(),
        "buckets": [
            {"start": start.astimezone(here), "events": events}
            for start, events in zip(found.starts, found.events, strict=True)
        ],
        "series": found.series,
    }


@blueprint.route("/popular-products/")
@blueprint.doc(summary="Products by interest, views, sales or revenue")
@require_scope("read")
@blueprint.arguments(PopularQuery, location="query")
@blueprint.response(200, PopularAnswer)
def popular_products(query: dict[str, Any]) -> dict[str, Any]:
    """Rank products over the days."""
    first, last, traffic = read_report(query)
    chosen = {name: query[name] for name in ("sort", "limit", "category")}
    found = read_popular(current_session(), first, last, zone=_zone(), traffic=traffic, **chosen)
    return {**_range(found.days), "products": found.products}


@blueprint.route("/recommendations/")
@blueprint.doc(summary="Recommendations shown, clicked and purchased")
@require_scope("read")
@blueprint.arguments(EffectivenessQuery, location="query")
@blueprint.response(200, EffectivenessAnswer)
def recommendations(query: dict[str, Any]) -> dict[str, Any]:
    """Say how well recommendations work, by placement, position, rung and model version.

    Clicks and purchases are those of the lists shown on the days, whenever they came.
    """
    first, last, traffic = read_report(query)
    found = read_recommendations(
        current_session(),
        first,
        last,
        zone=_zone(),
        group_by=query["group_by"],
        traffic=traffic,
    )
    return {
        **_range(found.days),
        "source": found.source,
        "total": found.total,
        **{f"by_{side}": found.by(side) for side in PLACE},
        "by_place": found.by("placement", "position"),
        "group_by": found.group_by,
        "groups": found.by(*found.group_by) if found.group_by else [],
    }


@blueprint.route("/sessions/")
@blueprint.doc(summary="Sessions: number, length, bounces")
@require_scope("read")
@blueprint.arguments(ReportQuery, location="query")
@blueprint.response(200, SessionsAnswer)
def sessions(query: dict[str, Any]) -> dict[str, Any]:
    """Count sessions by the 30-minute rule, a day and in total."""
    first, last, traffic = read_report(query)
    found = read_sessions(current_session(), first, last, zone=_zone(), traffic=traffic)
    return {**_range(found.days), "total": found.total, "by_day": found.by_day}


@blueprint.route("/excluded/")
@blueprint.doc(summary="Events that reports leave out, by reason")
@require_scope("read")
@blueprint.arguments(PeriodQuery, location="query")
@blueprint.response(200, ExcludedAnswer)
def excluded(query: dict[str, Any]) -> dict[str, Any]:
    """Count what is left out, such as bots and tests, a day and in total."""
    first, last = read_period(query)
    # What was aggregated before there were reasons has left nothing out.
    days = read_days(current_session(), first, last, zone=_zone(), counted="true")
    found = read_excluded(current_session(), days)
    return {
        **_range(days),
        "total": sum(found.by_reason.values()),
        "by_reason": found.by_reason,
        "by_day": [
            {"date": day, "events": reasons.total(), "by_reason": reasons}
            for day, reasons in found.by_day.items()
        ],
    }


def _top(name: str, query: dict[str, Any]) -> dict[str, Any]:
    first, last, traffic = read_report(query)
    found = read_top(
        current_session(), name, first, last, zone=_zone(), limit=query["limit"], traffic=traffic
    )
    return {
        **_range(found.days),
        "property": name,
        "total": found.total,
        "other": found.other,
        "values": [
            {"value": value, "events": events, "share": events / found.total}
            for value, events in found.values
        ],
    }


def _range(days: Days) -> dict[str, Any]:
    end: date = days.last + timedelta(days=1)
    return {
        "date_from": days.first,
        "date_to": end,
        "complete": days.lost is None,
        "whole_from": days.whole_from,
        "source": days.source,
    }


def _zone() -> str:
    return state().settings.report_timezone
