"""Training runs: who asked for a training, how far it is, how it ended and why.

One training runs at a time: whoever trains holds the lock of `lock_training`, which the database
lets go of when its holder dies. So a run that is `running` while nobody holds the lock is dead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, Identity, Update, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.job_runs import lock_job

QUEUED, RUNNING, FAILED = "queued", "running", "failed"
UNFINISHED = (QUEUED, RUNNING)
#: A run whose process died is begun once more: the second death is the data's or the machine's.
MOST_ATTEMPTS = 2


class TrainingRun(Base):
    """Record one training: queued, running, then promoted, rejected, skipped or failed."""

    __tablename__ = "training_runs"

    run_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    status: Mapped[str]
    days: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    requested_at: Mapped[datetime]
    requested_by: Mapped[str | None]
    started_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    stage: Mapped[str | None]
    percent: Mapped[float] = mapped_column(Float(53), server_default=text("0"))
    #: seconds and memory_bytes that it may take.
    budget: Mapped[dict[str, Any] | None]
    reason: Mapped[str | None]
    figures: Mapped[dict[str, Any] | None]


class RunTakenOverError(RuntimeError):
    """The run was begun by another process meanwhile: nothing of this one counts."""


def lock_training(session: Session, *, wait: bool) -> bool:
    """Take the lock of training until the transaction ends; False when somebody trains.

    The transaction idles while its holder works, so the server may not end it; and a holder
    whose machine has vanished loses it within two minutes.
    """
    session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    for setting, value in (("idle", 60), ("interval", 15), ("count", 4)):
        session.execute(text(f"SET LOCAL tcp_keepalives_{setting} = {value}"))
    return lock_job(session, "train", wait=wait)


def request_run(
    session: Session, *, days: int, now: datetime, requested_by: str, seed: int = 0
) -> TrainingRun:
    """Queue a training, or give the one that is queued for the same days and seed already."""
    lock_job(session, "train-request", wait=True)
    queued = session.scalar(
        select(TrainingRun)
        .where(TrainingRun.status == QUEUED, TrainingRun.days == days, TrainingRun.seed == seed)
        .order_by(TrainingRun.run_id)
        .limit(1)
    )
    if queued is not None:
        return queued
    run = TrainingRun(
        status=QUEUED, days=days, seed=seed, requested_at=now, requested_by=requested_by
    )
    session.add(run)
    session.flush()
    session.refresh(run)
    return run


def begin_run(
    session: Session, run_id: int, *, budget: dict[str, Any], now: datetime
) -> TrainingRun | None:
    """Begin a queued run and give it; None when it is not queued (any more).

    For the holder of the lock only: other runs that are `running` are dead, and are taken over.
    """
    take_over_dead(session, now=now)
    run = session.get_one(TrainingRun, run_id, with_for_update=True)
    if run.status != QUEUED:
        return None
    run.status, run.started_at, run.heartbeat_at = RUNNING, now, now
    run.attempts += 1
    run.budget = budget
    return run


def take_over_dead(session: Session, *, now: datetime) -> None:
    """Queue the runs of dead processes once more; those that died twice have failed.

    For the holder of the lock only.
    """
    dead = update(TrainingRun).where(TrainingRun.status == RUNNING)
    session.execute(
        dead.where(TrainingRun.attempts < MOST_ATTEMPTS).values(
            status=QUEUED,
            stage=None,
            reason="the process that trained died; the run is begun once more",
        )
    )
    session.execute(
        dead.values(
            status=FAILED,
            stage=None,
            finished_at=now,
            reason=f"the process that trained died, {MOST_ATTEMPTS} times: "
            "see the trainer's log, and whether the machine had memory left",
        )
    )


def note_progress(
    session: Session, run: TrainingRun, *, stage: str, percent: float, now: datetime
) -> None:
    """Say how far a run is; the percentage never falls. Raises RunTakenOverError."""
    _update_own(
        session,
        run,
        _own(run).values(
            stage=stage,
            percent=func.greatest(TrainingRun.percent, percent),
            heartbeat_at=now,
        ),
    )


def note_heartbeat(session: Session, run: TrainingRun, *, now: datetime) -> None:
    """Say that the process of a run is alive."""
    session.execute(_own(run).values(heartbeat_at=now))


def finish_run(
    session: Session,
    run: TrainingRun,
    *,
    status: str,
    reason: str,
    figures: dict[str, Any],
    now: datetime,
) -> None:
    """Record how a run ended. Raises RunTakenOverError."""
    ended = _own(run).values(
        status=status, reason=reason, figures=figures, stage=None, finished_at=now
    )
    _update_own(session, run, ended if status == FAILED else ended.values(percent=100.0))


def read_next_queued(session: Session) -> int | None:
    """Give the run that waits longest."""
    return session.scalar(select(func.min(TrainingRun.run_id)).where(TrainingRun.status == QUEUED))


def read_runs(session: Session, *, limit: int, before: int | None) -> Sequence[TrainingRun]:
    """Give runs, the newest first, from the one before `before` on."""
    wanted = select(TrainingRun).order_by(TrainingRun.run_id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(TrainingRun.run_id < before)
    return session.scalars(wanted).all()


def read_last_run(session: Session) -> TrainingRun | None:
    """Give the run that was asked for last."""
    return next(iter(read_runs(session, limit=1, before=None)), None)


def read_waited_for(session: Session, run: TrainingRun) -> int | None:
    """Give the run that has to end before this one begins; None when it waits for none."""
    if run.status != QUEUED:
        return None
    earlier = select(func.max(TrainingRun.run_id)).where(
        TrainingRun.status.in_(UNFINISHED), TrainingRun.run_id < run.run_id
    )
    running = select(func.max(TrainingRun.run_id)).where(TrainingRun.status == RUNNING)
    return session.scalar(earlier) or session.scalar(running)


def _own(run: TrainingRun) -> Update:
    """Change a run as long as it is this attempt's: a process that lost it changes nothing."""
    return update(TrainingRun).where(
        TrainingRun.run_id == run.run_id,
        TrainingRun.status == RUNNING,
        TrainingRun.attempts == run.attempts,
    )


def _update_own(session: Session, run: TrainingRun, change: Update) -> None:
    changed = session.scalar(change.returning(TrainingRun.run_id))
    if changed is None:
        raise RunTakenOverError(f"run {run.run_id} is not this process's any more")
