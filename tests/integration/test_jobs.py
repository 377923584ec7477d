"""Timed jobs: each period once, by whoever comes first, and what was missed is caught up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from models.database import engine_options, transaction
from models.job_runs import JobRun, lock_job
from settings import Settings
from tasks.jobs import DAILY, PURGE, TIMETABLE, overdue, run_job
from tests.builders import NOW

PERIOD = "2026-03-15"


def clock() -> datetime:
    return NOW


def nothing() -> dict[str, Any]:
    return {"events": 0}


def fail() -> dict[str, Any]:
    raise RuntimeError("the disk is full")


def run_all(engine: Engine, now: datetime) -> None:
    for due in overdue(engine, now=now):
        run_job(engine, due.job, due.last_period(now), nothing, clock=lambda: now)


def test_a_job_is_recorded_with_its_outcome(engine: Engine, session: Session) -> None:
    run_job(engine, "purge", PERIOD, lambda: {"events": 7}, clock=clock)

    run = session.get_one(JobRun, ("purge", PERIOD))
    assert (run.status, run.runs, run.outcome) == ("done", 1, {"events": 7})
    assert (run.started_at, run.finished_at) == (NOW, NOW)


def test_a_finished_period_is_not_run_again(engine: Engine) -> None:
    first = run_job(engine, "purge", PERIOD, nothing, clock=clock)
    again = run_job(engine, "purge", PERIOD, fail, clock=clock)
    next_day = run_job(engine, "purge", "2026-03-16", nothing, clock=clock)

    assert (first, again, next_day) == ({"events": 0}, None, {"events": 0})


def test_a_job_of_all_day_counts_its_runs(engine: Engine, session: Session) -> None:
    for _ in range(3):
        run_job(engine, "aggregate", PERIOD, nothing, clock=clock, once=False)

    assert session.get_one(JobRun, ("aggregate", PERIOD)).runs == 3


def test_two_runners_at_once_run_once(engine: Engine) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> dict[str, Any]:
        begun.set()
        go_on.wait(30)
        return {"by": "first"}

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run_job, engine, "purge", PERIOD, work, clock=clock)
        begun.wait(30)
        second = run_job(engine, "purge", PERIOD, fail, clock=clock)
        go_on.set()

    assert second is None
    assert first.result() == {"by": "first"}


def test_a_failed_job_says_why_and_is_due_again(engine: Engine, session: Session) -> None:
    with pytest.raises(RuntimeError):
        run_job(engine, DAILY.job, DAILY.last_period(NOW), fail, clock=clock)

    run = session.get_one(JobRun, (DAILY.job, DAILY.last_period(NOW)))
    assert (run.status, run.outcome) == ("failed", {"error": "RuntimeError: the disk is full"})
    assert DAILY in overdue(engine, now=NOW)
    run_job(engine, DAILY.job, DAILY.last_period(NOW), nothing, clock=clock)
    session.refresh(run)
    assert (run.status, run.runs) == ("done", 2)
    assert DAILY not in overdue(engine, now=NOW)


def test_a_long_job_keeps_its_lock_on_a_server_that_ends_idle_transactions(
    engine: Engine, settings: Settings
) -> None:
    options = engine_options("idle")
    options["connect_args"]["options"] += " -c idle_in_transaction_session_timeout=10ms"
    idle = create_engine(settings.sqlalchemy_url, **options)

    with transaction(idle) as guard:
        lock_job(guard, "long")
        with transaction(engine) as other:
            other.execute(text("SELECT pg_sleep(0.1)"))
            taken_over = lock_job(other, "long")
    idle.dispose()

    assert not taken_over


def test_a_job_whose_worker_died_is_due_again(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(
            JobRun(
                job=PURGE.job,
                period=PURGE.last_period(NOW),
                status="running",
                started_at=NOW,
                runs=1,
            )
        )
        session.commit()

    assert PURGE in overdue(engine, now=NOW)


def test_at_first_everything_is_due_and_then_nothing(engine: Engine) -> None:
    assert overdue(engine, now=NOW) == list(TIMETABLE)
    run_all(engine, NOW)
    assert overdue(engine, now=NOW) == []


def test_after_days_of_absence_each_job_is_due_once(engine: Engine) -> None:
    run_all(engine, NOW)
    back = NOW + timedelta(days=9)

    assert overdue(engine, now=back) == list(TIMETABLE)
    run_all(engine, back)
    assert overdue(engine, now=back) == []


def test_the_next_day_the_daily_jobs_are_due_and_the_weekly_one_is_not(engine: Engine) -> None:
    run_all(engine, NOW)

    late = overdue(engine, now=NOW + timedelta(days=1))

    assert late == [due for due in TIMETABLE if due.weekday is None]
