"""Run timed jobs: each period once, recorded, by whoever comes first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine

from models.database import transaction
from models.job_runs import is_done, lock_job, record_end, record_start

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Due:
    """When a job is due: at a time of day (UTC), on one weekday or on every day."""

    task: str
    job: str
    at: time
    weekday: int | None = None

    def last_period(self, now: datetime) -> str:
        """Name the newest period that is due at `now`, as its day."""
        day = now.astimezone(UTC)
        if day.time() < self.at:
            day -= timedelta(days=1)
        while self.weekday is not None and day.weekday() != self.weekday:
            day -= timedelta(days=1)
        return day.date().isoformat()


DAILY = Due("aggregate.daily", "aggregate-daily", time(1, 0))
PARTITIONS = Due("partitions.ahead", "partitions", time(1, 30))
RETRAIN = Due("train.nightly", "retrain", time(2, 0))
PURGE = Due("retention.purge", "purge", time(2, 0), weekday=6)
RECONCILE = Due("metrics.reconcile", "reconcile", time(3, 0))
TIMETABLE = (DAILY, PARTITIONS, RETRAIN, PURGE, RECONCILE)


def run_job(
    engine: Engine,
    job: str,
    period: str,
    work: Callable[[], dict[str, Any]],
    *,
    clock: Callable[[], datetime],
    once: bool = True,
) -> dict[str, Any] | None:
    """Run a job for a period and record it; None when it is done already or runs elsewhere.

    With `once` a finished period is not run again. Two Beats, or a task delivered twice, meet at
    the job's lock, which the database lets go of when its holder dies.
    """
    with transaction(engine) as guard:
        if not lock_job(guard, f"run:{job}"):
            return None
        if once and is_done(guard, job, period):
            return None
        with transaction(engine) as session:
            record_start(session, job, period, now=clock())
        try:
            outcome = work()
        except Exception as error:
            with transaction(engine) as session:
                record_end(
                    session,
                    job,
                    period,
                    status="failed",
                    outcome={"error": f"{type(error).__name__}: {error}"[:500]},
                    now=clock(),
                )
            raise
        with transaction(engine) as session:
            record_end(session, job, period, status="done", outcome=outcome, now=clock())
    log.info("job_done", job=job, period=period, **outcome)
    return outcome


def overdue(engine: Engine, *, now: datetime) -> list[Due]:
    """List the jobs whose newest period is due and not done: Beat was away, or it failed."""
    with transaction(engine) as session:
        return [due for due in TIMETABLE if not is_done(session, due.job, due.last_period(now))]
