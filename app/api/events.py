"""The event log: list, session, and the types that there are."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from werkzeug.wrappers import Response

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.database import db
from app.errors import Problem
from app.event_json import event_fields, json_answer
from app.event_query import read_filter, today_utc
from app.paging import bad_cursor, read_cursor, write_cursor
from app.schemas.activity import EventTypeList, EventTypeQuery
from app.schemas.events import (
    EventList,
    EventQuery,
    SessionAnswer,
    SessionQuery,
)
from event_types import CATALOGUE
from models.event_list import EventFilter, read_page
from models.session_timeline import (
    MAX_PEOPLE,
    ms_between,
    read_session_totals,
    read_timeline,
)

blueprint = ApiBlueprint("events", __name__, url_prefix="/api", description="The event log")


@blueprint.route("/events/", strict_slashes=False)
@blueprint.doc(summary="Events, newest first, by any combination of filters")
@require_scope("read")
@blueprint.arguments(EventQuery, location="query")
@blueprint.response(200, EventList)
def list_events(query: dict[str, Any]) -> Response:
    """Give a page of events in the order of their ids, which is that of their times.

    Events without a time of their own come last.
    """
    page = read_page(
        db.engine,
        read_filter(query),
        before=_read_id(query["cursor"]),
        limit=query["limit"],
        today=today_utc(),
    )
    following = None if page.last_id is None else write_cursor(str(page.last_id))
    return json_answer(
        {"events": [event_fields(row) for row in page.events], "next_cursor": following}
    )


@blueprint.route("/events/session/<path:session_id>", strict_slashes=False)
@blueprint.doc(summary="A session's events in order, with the gaps between them")
@require_scope("read")
@blueprint.arguments(SessionQuery, location="query")
@blueprint.response(200, SessionAnswer)
def show_session(query: dict[str, Any], session_id: str) -> Response:
    """Give the figures of a session and a page of its events, the first one first."""
    after = _read_place(query["cursor"])
    wanted = EventFilter(session_id=session_id, user_id=query["user_id"])
    totals = read_session_totals(db.engine, wanted, today=today_utc())
    if totals.first_at is None or totals.last_at is None:
        raise Problem(404, "unknown_session", "there are no events of this session")
    limit = query["limit"]
    steps = read_timeline(db.engine, wanted, totals, after=after, limit=limit + 1)
    last = steps[limit - 1].event if len(steps) > limit else None
    following = last and write_cursor(
        last.occurred_at.astimezone(UTC).isoformat(), str(last.event_id)
    )
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
            "events": [
                {**event_fields(step.event), "gap_ms": step.gap_ms} for step in steps[:limit]
            ],
            "next_cursor": following,
            "from": "events",
        }
    )


@blueprint.route("/event-types", strict_slashes=False)
@blueprint.doc(summary="The catalogue of event types")
@require_scope("read")
@blueprint.arguments(EventTypeQuery, location="query")
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


def _read_id(cursor: str | None) -> UUID | None:
    if cursor is None:
        return None
    return _as_id(read_cursor(cursor, (str,))[0])


def _read_place(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    moment, event_id = read_cursor(cursor, (str, str))
    try:
        place = datetime.fromisoformat(moment)
    except ValueError:
        raise bad_cursor() from None
    if place.tzinfo is None:
        raise bad_cursor()
    return place, _as_id(event_id)


def _as_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise bad_cursor() from None
