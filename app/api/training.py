"""Training on demand, and how the trainings went."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.callers import caller_name
from app.clock import now
from app.database import current_session
from app.errors import Problem
from app.paging import cut_page, read_cursor, write_cursor
from app.schemas.lists import PageQuery
from app.schemas.training import RetrainQuery, TrainingRunAnswer, TrainingRunList
from app.state import state
from models.training_runs import (
    QUEUED,
    RUNNING,
    TrainingRun,
    read_runs,
    read_waited_for,
    request_run,
)

log = structlog.get_logger()

blueprint = ApiBlueprint("training", __name__, url_prefix="/api", description="Training and model")

MAX_ID = 2**63 - 1
#: Before that, the pace says little.
_TELLING_PERCENT = 10.0


@blueprint.route("/retrain", methods=["POST"])
@blueprint.doc(summary="Train a model now")
@require_scope("train")
@blueprint.arguments(RetrainQuery, location="query")
@blueprint.response(
    202,
    TrainingRunAnswer,
    headers={"Location": {"description": "the run", "schema": {"type": "string"}}},
)
def retrain(query: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Queue a training run and give it; ask for its progress at the Location.

    One training runs at a time: `waits_for` names the run before it. While a run of as many days
    is queued, that one is given again.
    """
    session = current_session()
    run = request_run(session, days=query["days"], now=now(), requested_by=caller_name())
    run_id = run.run_id
    session.commit()
    try:
        state().bell.send("train.run", queue="training", kwargs={"run_id": run_id})
    except Exception as error:
        # It is recorded: the timetable finds it within a quarter of an hour.
        log.warning("training_waits", run_id=run_id, error=type(error).__name__)
    location = f"{blueprint.url_prefix}/training-runs/{run_id}"
    return describe_run(run), 202, {"Location": location}


@blueprint.route("/training-runs")
@blueprint.doc(summary="Training runs")
@require_scope("read")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, TrainingRunList)
def training_runs(query: dict[str, Any]) -> dict[str, Any]:
    """List the training runs, the newest first."""
    before = read_id_cursor(query["cursor"])
    found = read_runs(current_session(), limit=query["limit"] + 1, before=before)
    page, last = cut_page(found, query["limit"])
    return {
        "training_runs": [describe_run(run) for run in page],
        "next_cursor": last and write_cursor(last.run_id),
    }


@blueprint.route(f"/training-runs/<int(max={MAX_ID}):run_id>")
@blueprint.doc(summary="How a training run is doing")
@require_scope("read")
@blueprint.response(200, TrainingRunAnswer)
def training_run(run_id: int) -> dict[str, Any]:
    """Give a run with its progress while it runs, and with its figures when it is done."""
    run = current_session().get(TrainingRun, run_id)
    if run is None:
        raise Problem(404, "unknown_run", f"there is no training run {run_id}")
    return describe_run(run)


def read_id_cursor(cursor: str | None) -> int | None:
    """Read the cursor of a list that is sorted by its ids. Raises Problem 400."""
    if cursor is None:
        return None
    last: int = read_cursor(cursor, (int,))[0]
    # Beyond what ids can be, the list begins or ends.
    return min(max(last, 0), MAX_ID)


def describe_run(run: TrainingRun) -> dict[str, Any]:
    """Give a run with what follows from it: what it waits for, its time and what is left of it."""
    columns = {
        column.key: getattr(run, column.key) for column in TrainingRun.__mapper__.column_attrs
    }
    seconds = _seconds_of(run, now())
    left = None
    # A later attempt keeps the percentage of the one before, which says nothing of its own pace.
    is_first = run.attempts == 1
    if run.status == RUNNING and is_first and seconds and run.percent >= _TELLING_PERCENT:
        left = round(seconds * (100 - run.percent) / run.percent, 1)
    return {
        **columns,
        "waits_for": read_waited_for(current_session(), run),
        "seconds": seconds,
        "seconds_left": left,
    }


def _seconds_of(run: TrainingRun, moment: datetime) -> float | None:
    if run.started_at is None or run.status == QUEUED:
        return None
    return round(max(0.0, ((run.finished_at or moment) - run.started_at).total_seconds()), 1)
