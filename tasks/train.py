"""Training runs: ask for one, find the one to begin next, carry one out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Engine

from models import training_runs
from models.database import transaction
from models.training_runs import RunTakenOverError
from tasks.heartbeat import heartbeat
from tasks.training_attempt import Attempt, Limits, Progress

log = structlog.get_logger()

#: Kinds of errors that end a run, and what each means to people.
Reasons = Mapping[type[BaseException], str]


def request_run(
    engine: Engine, *, days: int, now: datetime, requested_by: str, seed: int = 0
) -> int:
    """Queue a training, or join one that is queued for the same days; give its run id."""
    with transaction(engine) as session:
        return training_runs.request_run(
            session, days=days, now=now, requested_by=requested_by, seed=seed
        ).run_id


def next_waiting(engine: Engine, *, now: datetime) -> int | None:
    """Give the run to begin next: none while somebody trains. Dead runs are queued once more."""
    with transaction(engine) as session:
        if not training_runs.lock_training(session, wait=False):
            return None
        training_runs.take_over_dead(session, now=now)
        return training_runs.read_next_queued(session)


def carry_out(
    engine: Engine,
    run_id: int,
    *,
    limits: Limits,
    clock: Callable[[], datetime],
    reasons: Reasons | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train for a requested run and record how it went; give its status, reason and version.

    One training runs at a time: others wait here. A run that is finished is not run again.
    `reasons` says what errors mean that come from outside, such as a time limit. `progress` is
    called with a stage and a percentage.
    """
    with transaction(engine) as guard:
        training_runs.lock_training(guard, wait=True)
        with transaction(engine) as session:
            run = training_runs.begin_run(
                session, run_id, budget=asdict(limits.budget), now=clock()
            )
        if run is None:
            return {"run_id": run_id, "status": "finished before"}
        work = Attempt(engine, run, limits, clock, progress)
        try:
            with heartbeat(work.beat):
                outcome = work.carry_out()
        except RunTakenOverError:
            log.warning("training_taken_over", run_id=run_id, attempt=run.attempts)
            return {"run_id": run_id, "status": "taken over", "reason": "", "version": None}
        except (Exception, KeyboardInterrupt) as error:
            work.fail(_reason_of(error, reasons or {}))
            raise
    log.info("training_done", run_id=run_id, status=outcome["status"], version=outcome["version"])
    return outcome


def _reason_of(error: BaseException, reasons: Reasons) -> str:
    for kind, meaning in reasons.items():
        if isinstance(error, kind):
            return meaning
    return f"{type(error).__name__}: {error}"[:500]
