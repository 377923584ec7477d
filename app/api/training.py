"""Training on demand, and what is served."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from app.auth import public, require_scope
from app.blueprint import ApiBlueprint
from app.clock import now
from app.database import current_session
from app.errors import Problem
from app.schemas.training import ModelInfo, RetrainQuery, TrainingRunAnswer
from app.state import state
from models.training_runs import TrainingRun

blueprint = ApiBlueprint("training", __name__, url_prefix="/api", description="Training and model")


@blueprint.route("/retrain", methods=["POST"])
@blueprint.doc(summary="Train a model now", security=[{"admin_token": []}])
@require_scope("train")
@blueprint.arguments(RetrainQuery, location="query")
@blueprint.response(202, TrainingRunAnswer)
def retrain(query: dict[str, Any]) -> TrainingRun:
    """Queue a training run and give it; ask for its progress by its id."""
    run = TrainingRun(
        status="queued",
        days=query["days"],
        requested_at=now(),
    )
    current_session().add(run)
    current_session().commit()
    state().bell.send("train.run", queue="training", kwargs={"run_id": run.run_id})
    return run


@blueprint.route(f"/training-runs/<int(max={2**63 - 1}):run_id>")
@blueprint.doc(summary="How a training run is doing", security=[{"admin_token": []}])
@require_scope("read")
@blueprint.response(200, TrainingRunAnswer)
def training_run(run_id: int) -> TrainingRun:
    """Give a run with its stage while it runs and its figures when it is done."""
    run = current_session().get(TrainingRun, run_id)
    if run is None:
        raise Problem(404, "unknown_run", f"there is no training run {run_id}")
    return run


@blueprint.route("/model/info")
@blueprint.doc(summary="The served model")
@public
@blueprint.response(200, ModelInfo)
def model_info() -> dict[str, Any]:
    """Give the served model with its figures, and the last training run."""
    champion = state().champions.current(current_session())
    last = current_session().scalar(
        select(TrainingRun).order_by(TrainingRun.run_id.desc()).limit(1)
    )
    if champion is None:
        return {"status": "none", "last_run": last}
    return {
        "status": "serving",
        "version": champion.version,
        "trained_at": champion.served_from,
        "size_bytes": champion.size_bytes,
        "manifest": champion.manifest,
        "last_run": last,
    }
