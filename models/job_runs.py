"""Job runs: which period of which job has run, so that none is left out and none runs twice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base


class JobRun(Base):
    """Record a job's run for one period. Jobs that run all day count their runs of that day."""

    __tablename__ = "job_runs"

    job: Mapped[str] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    runs: Mapped[int] = mapped_column(server_default=text("0"))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[dict[str, Any] | None]


def record_start(session: Session, job: str, period: str, *, now: datetime) -> None:
    """Note that a job begins (or begins again) with a period."""
    statement = insert(JobRun).values(
        job=job, period=period, status="running", started_at=now, runs=1
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["job", "period"],
            set_={
                "status": "running",
                "started_at": now,
                "finished_at": None,
                "runs": JobRun.runs + 1,
            },
        )
    )


def record_end(
    session: Session, job: str, period: str, *, status: str, outcome: dict[str, Any], now: datetime
) -> None:
    """Note how a job ended: `done`, or `failed` with the error in the outcome."""
    run = session.get_one(JobRun, (job, period), populate_existing=True)
    run.status, run.outcome, run.finished_at = status, outcome, now


def is_done(session: Session, job: str, period: str) -> bool:
    """Tell whether a job has finished a period."""
    status = session.scalar(select(JobRun.status).where(JobRun.job == job, JobRun.period == period))
    return status == "done"


def read_last_done(session: Session, job: str) -> JobRun | None:
    """Give the run of a job that finished last."""
    return session.scalars(
        select(JobRun)
        .where(JobRun.job == job, JobRun.status == "done")
        .order_by(JobRun.finished_at.desc())
        .limit(1)
    ).first()


def lock_job(session: Session, job: str, *, wait: bool = False) -> bool:
    """Take the job's lock until the transaction ends; False when another process holds it.

    The lock is the database's: a worker that dies lets go of it. Who does not wait for it holds it
    idly, while others work: a server that ends idle transactions may not end this one.
    """
    key = func.hashtextextended(f"job:{job}", 0)
    if wait:
        session.execute(select(func.pg_advisory_xact_lock(key)))
        return True
    session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(key))))
