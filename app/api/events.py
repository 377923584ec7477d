"""The event log: list, session, and the types that there are."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from werkzeug.wrappers import Response

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.clock import today_utc
from app.database import db
from app.errors import Problem
from app.event_json import event_fields, json_answer
from app.event_query import read_filter
from app.paging import cut_page, read_cursor, write_cursor
from app.schemas.activity import EventTypeList
from app.schemas.events import (
    EventList,
    EventQuery,
    SessionAnswer,
    SessionQuery,
)
from app.schemas.lists import PageQuery
from event_types import CATALOGUE
from models.event_list import EventFilter, read_page
from models.session_timeline import (
    MAX_PEOPLE,
    ms_between,
    read_session_totals,
    read_timeline,
)

blueprint = ApiBlueprint("events", __name__, url_prefix="/api", description="The event log")


@blueprint.route("/events/")
@blueprint.doc(summary="Events, newest first, by any combination of filters")
@require_scope("read")
@blueprint.arguments(EventQuery, location="query")
@blueprint.response(200, EventList)
def list_events(query: dict[str, Any]) -> Response:
    """Give a page of events in the order of their ids, which is that of their times.

    Events without a time of their own come last.
    """
    cursor = query["cursor"]
    page = read_page(
        db.engine,
        read_filter(query),
        before=read_cursor(cursor, (UUID,))[0] if cursor else None,
        limit=query["limit"],
        today=today_utc(),
    )
    following = page.last_id and write_cursor(page.last_id)
    return json_answer(
        {"events": [event_fields(row) for row in page.events], "next_cursor": following}
    )


@blueprint.route("/events/session/<path:session_id>/")
@blueprint.doc(summary="A session's events in order, with the gaps between them")
@require_scope("read")
@blueprint.arguments(SessionQuery, location="query")
@blueprint.response(200, SessionAnswer)
def show_session(query: dict[str, Any], session_id: str) -> Response:
    """Give the figures of a session and a page of its events, the first one first."""
    cursor, limit = query["cursor"], query["limit"]
    after = read_cursor(cursor, (datetime, UUID)) if cursor else None
    wanted = EventFilter(session_id=session_id, user_id=query["user_id"])
    totals = read_session_totals(db.engine, wanted, today=today_utc())
    if totals.first_at is None or totals.last_at is None:
        raise Problem(404, "unknown_session", "there are no events of this session")
    found = read_timeline(db.engine, wanted, totals, after=after, limit=limit + 1)
    steps, last = cut_page(found, limit)
    return json_answer(
        {
            "session_id": session_id,
            "user_ids": sorted(totals.users)[:MAX_PEOPLE],
            "anonymous_ids": sorted(totals.anonymous)[:MAX_PEOPLE],
            "total_events": totals.by_type.total(),
            "events_by_type": dict(totals.by_type),
            "first_at": totals.first_at,
            "last_at": totals.last_at,
            "duration_ms": ms_between(totals.first_at, totals.last_at),
            "events": [{**event_fields(step.event), "gap_ms": step.gap_ms} for step in steps],
            "next_cursor": last
            and write_cursor(last.event.occurred_at.astimezone(UTC), last.event.event_id),
            "from": "events",
        }
    )


@blueprint.route("/event-types")
@blueprint.doc(summary="The catalogue of event types")
@require_scope("read")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, EventTypeList)
def list_event_types(query: dict[str, Any]) -> dict[str, Any]:
    """Give the types by name, with those that this installation has added."""
    names = sorted(CATALOGUE)
    cursor = query["cursor"]
    start = 0 if cursor is None else bisect_right(names, read_cursor(cursor, (str,))[0])
    end = start + query["limit"]
    return {
        "event_types": [CATALOGUE[name] for name in names[start:end]],
        "next_cursor": write_cursor(names[end - 1]) if end < len(names) else None,
    }
