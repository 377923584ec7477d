"""The activity door: POST /api/events/log for one event, /api/events/log/batch for a list.

The events are those of the native door, and so are the verdicts: `metadata`, `context_snapshot`
and `timestamp` are names that its contract knows for properties, context and occurred_at.
"""

from __future__ import annotations

from typing import Any

from flask import request
from werkzeug.wrappers import Request, Response

from app.auth import takes_write_key
from app.blueprint import ApiBlueprint
from app.doors.native import ANSWERS, take_events, write_created, write_verdicts
from app.doors.routes import Doors
from app.schemas import examples
from app.schemas.events import ActivityBatch, ActivityEvent, LogAnswer, LogBatchAnswer
from app.state import State, state
from intake.envelope import BodyError
from intake.request import Reading, SkewOf, read_request
from intake.rows import Rules, Sender

blueprint = ApiBlueprint("activity", __name__, description="Send activity events")

LOG_PATH = "/api/events/log"
BATCH_PATH = "/api/events/log/batch"


def _documented(summary: str, body: type, shown: dict[str, Any], answer: type) -> dict[str, Any]:
    accepted = {**ANSWERS["201"], "content": {"application/json": {"schema": answer}}}
    return {
        "summary": summary,
        "requestBody": {
            "content": {"application/json": {"schema": body, "examples": shown}},
            "required": True,
        },
        "responses": {**ANSWERS, "201": accepted},
    }


@blueprint.route(LOG_PATH, methods=["POST"])
@blueprint.doc(**_documented("Log one activity event", ActivityEvent, examples.ACTIVITY, LogAnswer))
@takes_write_key
def log_event() -> Response:
    """Accept one event."""
    return answer_log(request, state())


@blueprint.route(BATCH_PATH, methods=["POST"])
@blueprint.doc(
    **_documented(
        "Log a list of activity events", ActivityBatch, examples.ACTIVITIES, LogBatchAnswer
    )
)
@takes_write_key
def log_events() -> Response:
    """Accept a list of events, bare or as the `events` of an object, each judged by itself."""
    return answer_log_batch(request, state())


def answer_log(request: Request, here: State) -> Response:
    """Answer one request of /log. Raises Problem."""
    reading = take_events(request, here, door="activity", read=_read_one)
    if reading is None:
        return write_created(None)
    return write_created({"event_id": reading.rows[0].event_id, "status": "accepted"})


def answer_log_batch(request: Request, here: State) -> Response:
    """Answer one request of /log/batch. Raises Problem."""
    reading = take_events(request, here, door="activity", read=_read_list)
    return write_verdicts(reading)


def _read_one(body: bytes, *, sender: Sender, rules: Rules, skew_of: SkewOf) -> Reading:
    reading = read_request(body, sender=sender, rules=rules, skew_of=skew_of)
    if not reading.single:
        raise BodyError("not_an_event", f"the body must be one event: lists go to {BATCH_PATH}")
    return reading


def _read_list(body: bytes, *, sender: Sender, rules: Rules, skew_of: SkewOf) -> Reading:
    if body.lstrip()[:1] == b"[":
        body = b'{"events":%b}' % body
    reading = read_request(body, sender=sender, rules=rules, skew_of=skew_of)
    if reading.single:
        raise BodyError(
            "not_a_list",
            f'the body must be a list or {{"events": […]}}: one event goes to {LOG_PATH}',
        )
    return reading


ROUTES: dict[str, Doors] = {
    LOG_PATH: {"POST": answer_log},
    BATCH_PATH: {"POST": answer_log_batch},
}
