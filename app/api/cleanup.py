"""Cleaning up the event log: what would go, and away with it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.clock import now, today_utc
from app.database import db
from app.errors import Problem
from app.schemas.events import CleanupAnswer, CleanupQuery
from app.state import state
from models.cleanup import Doomed, count_purgeable, count_wanted, cutoff_of, remove_wanted
from models.event_list import EventFilter

blueprint = ApiBlueprint("cleanup", __name__, url_prefix="/api", description="The event log")

#: Events that one request deletes at most: some seconds of work.
MAX_REMOVED = 100_000
#: A purge seals the days up to three after the last that it deletes, and today must stay open.
FEWEST_PURGE_DAYS = 4


@blueprint.route("/events/cleanup", methods=["DELETE"])
@blueprint.doc(summary="Delete old events, or those of a person; counts first")
@require_scope("erase")
@blueprint.arguments(CleanupQuery, location="query")
@blueprint.response(200, CleanupAnswer)
@blueprint.alt_response(202, schema=CleanupAnswer, description="Queued: a worker deletes them")
def clean_up(query: dict[str, Any]) -> Any:
    """Count what would be deleted, and with `dry_run=false` delete it.

    Of a person: now, with their counts taken back from every figure, up to 100,000 events a
    request; to forget a person altogether, ask for an erasure. Of everybody: by the purge, which
    keeps all figures; it takes whole days.
    """
    days = query["older_than_days"]
    cutoff = None if days is None else cutoff_of(days, now=now())
    if query["user_id"] is not None or query["anonymous_id"] is not None:
        return _clean_up_person(query, cutoff)
    if days is None or cutoff is None:
        raise Problem(
            422, "nothing_named", "give older_than_days, user_id or anonymous_id, or several"
        )
    if days < FEWEST_PURGE_DAYS:
        raise Problem(
            422,
            "too_young",
            f"older_than_days must be at least {FEWEST_PURGE_DAYS} without a person, got {days}",
        )
    answer = _describe(query, cutoff, count_purgeable(db.engine, cutoff, today=today_utc()))
    if query["dry_run"]:
        return answer
    state().bell.send("retention.purge", queue="default", kwargs={"days": days})
    return {**answer, "queued": "retention.purge"}, 202


def _clean_up_person(query: dict[str, Any], cutoff: date | None) -> dict[str, Any]:
    wanted = EventFilter(
        user_id=query["user_id"],
        anonymous_id=query["anonymous_id"],
        until=None
        if cutoff is None
        else datetime(cutoff.year, cutoff.month, cutoff.day, tzinfo=UTC),
    )
    if query["dry_run"]:
        return _describe(query, cutoff, count_wanted(db.engine, wanted, today=today_utc()))
    removed = remove_wanted(
        db.engine,
        wanted,
        zone=state().settings.report_timezone,
        limit=MAX_REMOVED,
        today=today_utc(),
    )
    return {
        "dry_run": False,
        "older_than": cutoff,
        "events": removed.events,
        "more": removed.more,
    }


def _describe(query: dict[str, Any], cutoff: date | None, doomed: Doomed) -> dict[str, Any]:
    return {
        "dry_run": query["dry_run"],
        "older_than": cutoff,
        "events": doomed.events,
        "by_type": doomed.by_type,
        "by_day": doomed.by_day,
        "oldest": doomed.oldest,
        "newest": doomed.newest,
    }
