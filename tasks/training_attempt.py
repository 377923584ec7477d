"""One attempt at a training run: read, train, keep the model, serve it when it has earned that."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fail_points import fail_point
from ml.budget import Budget
from models import training_runs
from models.database import transaction
from models.model_artefacts import drop_old_artefacts, keep_artefact, read_champion
from models.model_promotions import (
    GATE,
    Authority,
    lock_promotions,
    read_promotion,
    record_promotion,
)
from models.training_runs import FAILED, TrainingRun
from settings import Settings
from tasks.training_frames import read_frames

if TYPE_CHECKING:
    import pandas as pd

    from ml.dataset import Interactions
    from ml.result import TrainingResult

#: What reading takes of the whole, as a percentage: the rest is `ml`'s.
READ_PERCENT = 10.0
#: Bytes for an interaction at the peak of reading, measured: see docs/operations.md.
BYTES_OF_AN_INTERACTION = 250

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a training may take: its budget, and so many interactions."""

    budget: Budget
    most_interactions: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Read the limits from the settings; interactions take half of the memory at most."""
        memory_bytes = settings.train_memory_budget_mb * 1_000_000
        return cls(
            Budget(float(settings.train_time_budget_s), memory_bytes),
            min(settings.train_max_interactions, memory_bytes // 2 // BYTES_OF_AN_INTERACTION),
        )


@dataclass(slots=True)
class Attempt:
    """One attempt at a run, by whoever holds the lock of training."""

    engine: Engine
    run: TrainingRun
    limits: Limits
    clock: Callable[[], datetime]
    progress: Progress | None
    told: tuple[str, float] = ("", 0.0)

    def carry_out(self) -> dict[str, Any]:
        """Do all of it; give the run's status, its reason and the model's version."""
        # The training worker needs these; the others would pay 150 MB for them.
        from ml.train import train

        self.note("read", 0.0)
        now = self.clock()
        interactions, catalogue, left_out = self._read(now)
        with transaction(self.engine) as session:
            champion = read_champion(session)
        judged_against = champion.version if champion else None
        result = train(
            interactions,
            catalogue,
            now=now,
            seed=self.run.seed,
            champion_recipe=champion.manifest.get("recipe") if champion else None,
            champion_parts=champion.manifest.get("parts") if champion else None,
            budget=self.limits.budget,
            progress=self.note_stage,
        )
        return self._conclude(result, judged_against, left_out=left_out)

    def note_stage(self, stage: str, share: float = 0.0) -> None:
        """Say which stage begins and which share of the training is done before it."""
        self.note(stage, READ_PERCENT + (100 - READ_PERCENT) * min(max(share, 0.0), 1.0))

    def note(self, stage: str, percent: float) -> None:
        """Record how far the run is, and tell it; of one stage not more often than is seen."""
        percent = round(max(percent, self.told[1]), 1)
        if stage == self.told[0] and percent < self.told[1] + 1:
            return
        self.told = stage, percent
        with transaction(self.engine) as session:
            training_runs.note_progress(
                session, self.run, stage=stage, percent=percent, now=self.clock()
            )
        fail_point("train.stage")
        if self.progress is not None:
            self.progress(stage, percent)

    def beat(self) -> None:
        """Say that this process is alive."""
        with transaction(self.engine) as session:
            training_runs.note_heartbeat(session, self.run, now=self.clock())

    def fail(self, reason: str) -> None:
        """Record that it did not end well."""
        with transaction(self.engine) as session:
            training_runs.finish_run(
                session, self.run, status=FAILED, reason=reason, figures={}, now=self.clock()
            )

    def _read(self, now: datetime) -> tuple[Interactions, pd.DataFrame, int]:
        """Read interactions, catalogue, and how many interactions were left out.

        The frame of the interactions is gone before the training begins: it is as large as they.
        """
        from ml.dataset import build_interactions

        frames = read_frames(
            self.engine,
            since=now - timedelta(days=self.run.days),
            until=now,
            most=self.limits.most_interactions,
        )
        return build_interactions(frames.interactions), frames.catalogue, frames.left_out

    def _conclude(
        self, result: TrainingResult, judged_against: int | None, *, left_out: int
    ) -> dict[str, Any]:
        """Keep and serve the model and end the run, all of it or nothing."""
        with transaction(self.engine) as session:
            lock_promotions(session)
            status, reason = result.status, result.reason
            if status == "promoted" and _served_version(session) != judged_against:
                status = "rejected"
                reason += " Not promoted: another model was put to serve during the training."
            if left_out:
                read = self.limits.most_interactions
                reason += (
                    f" Only the newest {read:,} of {read + left_out:,} interactions were read."
                )
            training_runs.finish_run(
                session,
                self.run,
                status=status,
                reason=reason,
                figures=jsonable({**_figures(result), **_spent(left_out)}),
                now=self.clock(),
            )
            version = None
            if result.artefact is not None:
                version = self._keep(session, result, promote=status == "promoted")
        return {
            "run_id": self.run.run_id,
            "status": status,
            "reason": reason,
            "version": version,
        }

    def _keep(self, session: Session, result: TrainingResult, *, promote: bool) -> int:
        assert result.artefact is not None
        artefact = keep_artefact(
            session,
            run_id=self.run.run_id,
            content=result.artefact,
            manifest=jsonable(result.manifest),
            now=self.clock(),
        )
        if promote:
            served = read_promotion(session)
            record_promotion(
                session,
                artefact.version,
                Authority(GATE, "passed the gate", self.clock()),
                previous_id=served.promotion_id if served else None,
            )
        drop_old_artefacts(session)
        return artefact.version


def _served_version(session: Session) -> int | None:
    champion = read_champion(session)
    return champion.version if champion else None


def _figures(result: TrainingResult) -> dict[str, Any]:
    figures = asdict(result)
    for name in ("artefact", "manifest", "status", "reason"):
        figures.pop(name)
    return figures


def _spent(left_out: int) -> dict[str, Any]:
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"interactions_left_out": left_out, "peak_memory_bytes": peak_bytes}


def jsonable(value: Any) -> Any:
    """Make figures storable as JSON: numpy numbers become plain ones, NaN becomes null."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
