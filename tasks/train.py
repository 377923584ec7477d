"""Training runs: read the data, train, keep the artefact, serve it when it has earned that."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Engine, delete, select, update

from models.database import transaction
from models.interactions import CATALOGUE_ROWS, INTERACTIONS, interaction_bounds
from models.job_runs import lock_job
from models.training_runs import ModelArtefact, TrainingRun, read_champion

if TYPE_CHECKING:
    import pandas as pd

    from ml.result import TrainingResult

log = structlog.get_logger()

VERSIONS_KEPT = 5


def request_run(engine: Engine, *, days: int, now: datetime) -> int:
    """Record that a training is wanted; give its run id."""
    with transaction(engine) as session:
        run = TrainingRun(status="queued", days=days, requested_at=now)
        session.add(run)
        session.flush()
        return run.run_id


def carry_out(
    engine: Engine,
    run_id: int,
    *,
    clock: Callable[[], datetime],
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train for a requested run and record how it went; give its status, reason and version.

    One training runs at a time; runs whose process died are marked as failed. A run that is
    finished is not run again.
    """
    with transaction(engine) as guard:
        lock_job(guard, "train", wait=True)
        days = _begin(engine, run_id, now=clock())
        if days is None:
            return {"run_id": run_id, "status": "finished before"}

        def stage(name: str) -> None:
            _note_stage(engine, run_id, name)
            if progress is not None:
                progress(name)

        try:
            result = _train(engine, days, now=clock(), seed=seed, stage=stage)
            version = _keep(engine, run_id, result, now=clock())
        except Exception as error:
            _finish(engine, run_id, "failed", f"{type(error).__name__}: {error}"[:500], {}, clock())
            raise
        _finish(engine, run_id, result.status, result.reason, _figures(result), clock())
    log.info("training_done", run_id=run_id, status=result.status, version=version)
    return {"run_id": run_id, "status": result.status, "reason": result.reason, "version": version}


def read_frames(
    engine: Engine, *, since: datetime, until: datetime
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read interactions and catalogue as frames, in the columns that `ml` names."""
    import pandas as pd

    with engine.connect() as connection:
        interactions = pd.read_sql_query(
            INTERACTIONS, connection, params=interaction_bounds(since, until)
        )
        catalogue = pd.read_sql_query(CATALOGUE_ROWS, connection)
    interactions["weight"] = interactions["weight"].astype(float)
    interactions["occurred_at"] = pd.to_datetime(interactions["occurred_at"], utc=True)
    return interactions, catalogue


def _train(
    engine: Engine, days: int, *, now: datetime, seed: int, stage: Callable[[str], None]
) -> TrainingResult:
    # The training worker needs these; the others would pay 150 MB for them.
    from ml.dataset import build_interactions
    from ml.train import train

    stage("read")
    interactions, catalogue = read_frames(engine, since=now - timedelta(days=days), until=now)
    with transaction(engine) as session:
        champion = read_champion(session)
    return train(
        build_interactions(interactions),
        catalogue,
        now=now,
        seed=seed,
        champion_recipe=None if champion is None else champion.manifest.get("recipe"),
        champion_parts=None if champion is None else champion.manifest.get("parts"),
        progress=stage,
    )


def _begin(engine: Engine, run_id: int, *, now: datetime) -> int | None:
    with transaction(engine) as session:
        session.execute(
            update(TrainingRun)
            .where(TrainingRun.status == "running", TrainingRun.run_id != run_id)
            .values(status="failed", reason="the training process died", finished_at=now)
        )
        run = session.get_one(TrainingRun, run_id)
        if run.finished_at is not None:
            return None
        run.status, run.started_at = "running", now
        return run.days


def _note_stage(engine: Engine, run_id: int, name: str) -> None:
    with transaction(engine) as session:
        session.get_one(TrainingRun, run_id).stage = name


def _keep(engine: Engine, run_id: int, result: TrainingResult, *, now: datetime) -> int | None:
    if result.artefact is None:
        return None
    with transaction(engine) as session:
        artefact = ModelArtefact(
            run_id=run_id,
            created_at=now,
            served_from=now if result.status == "promoted" else None,
            sha256=result.manifest["sha256"],
            size_bytes=len(result.artefact),
            manifest=jsonable(result.manifest),
            content=result.artefact,
        )
        session.add(artefact)
        session.flush()
        champion = read_champion(session)
        newest = select(ModelArtefact.version).order_by(ModelArtefact.version.desc())
        session.execute(
            delete(ModelArtefact).where(
                ModelArtefact.version.not_in(newest.limit(VERSIONS_KEPT)),
                ModelArtefact.version != (champion.version if champion else 0),
            )
        )
        return artefact.version


def _finish(
    engine: Engine, run_id: int, status: str, reason: str, figures: dict[str, Any], now: datetime
) -> None:
    with transaction(engine) as session:
        run = session.get_one(TrainingRun, run_id)
        run.status, run.reason, run.finished_at, run.stage = status, reason, now, None
        run.figures = jsonable(figures)


def _figures(result: TrainingResult) -> dict[str, Any]:
    figures = asdict(result)
    for name in ("artefact", "manifest", "status", "reason"):
        figures.pop(name)
    return figures


def jsonable(value: Any) -> Any:
    """Make figures storable as JSON: numpy numbers become plain ones, NaN becomes null."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
