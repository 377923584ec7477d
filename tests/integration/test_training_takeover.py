"""Trainings whose process dies, is stopped, or loses its run to another one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import redis
from sqlalchemy import Engine, text, update
from sqlalchemy.orm import Session

from cli.servers.environment import environment_of
from models.database import transaction
from models.job_runs import lock_job
from models.training_runs import TrainingRun, begin_run, take_over_dead
from settings import Settings
from tasks.train import carry_out, next_waiting
from tests.builders import NOW
from tests.integration.test_training import LIMITS, clock, request

ROOT = Path(__file__).resolve().parents[2]
BUDGET = {"seconds": 900.0, "memory_bytes": 1}


@contextmanager
def trainer_at_work(engine: Engine, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Start a training in a process of its own, which comes to the catalogue and no further."""
    with engine.connect() as holding:
        holding.execute(text("LOCK TABLE products IN ACCESS EXCLUSIVE MODE"))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli.main", "retrain", "--days", "3"],
            env={**os.environ, **environment_of(settings), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(
                engine,
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted "
                "AND relation = CAST('products' AS regclass))",
                process,
            )
            yield process
        finally:
            process.kill()
            process.wait()


def wait_until(engine: Engine, question: str, process: subprocess.Popen[bytes]) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watching:
        while not watching.execute(text(f"SELECT ({question}), pg_sleep(0.02)")).one()[0]:
            assert process.poll() is None, "the training ended"


def until_next_waiting(engine: Engine) -> int:
    """Ask until the server has noticed that the trainer's connection is gone."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as pausing:
        while (waiting := next_waiting(engine, now=NOW)) is None:
            pausing.execute(text("SELECT pg_sleep(0.02)"))
    return waiting


def only_run(engine: Engine) -> TrainingRun:
    with transaction(engine) as session:
        return session.query(TrainingRun).one()


def test_a_killed_training_is_begun_once_more_by_the_next(
    engine: Engine, settings: Settings
) -> None:
    with trainer_at_work(engine, settings) as process:
        at_work = only_run(engine)
        assert next_waiting(engine, now=NOW) is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        run_id = until_next_waiting(engine)
        waiting = only_run(engine)

    outcome = carry_out(engine, run_id, limits=LIMITS, clock=clock)

    assert (at_work.status, at_work.stage, at_work.attempts) == ("running", "read", 1)
    assert at_work.heartbeat_at is not None
    assert (waiting.status, waiting.attempts) == ("queued", 1)
    assert waiting.reason == "the process that trained died; the run is begun once more"
    ended = only_run(engine)
    assert (outcome["status"], ended.status, ended.attempts) == ("skipped", "skipped", 2)
    assert (ended.percent, ended.days) == (100.0, 3)


def test_ctrl_c_ends_a_training_as_stopped_by_hand(engine: Engine, settings: Settings) -> None:
    with trainer_at_work(engine, settings) as process:
        process.send_signal(signal.SIGINT)
        code = process.wait(30)

    run = only_run(engine)
    assert (code, run.status, run.reason) == (130, "failed", "stopped by hand")
    assert run.finished_at is not None


def test_a_run_whose_process_died_twice_has_failed(engine: Engine, session: Session) -> None:
    run_id = request(engine)

    for _ in range(2):
        with transaction(engine) as changing:
            assert begin_run(changing, run_id, budget=BUDGET, now=NOW)
    with transaction(engine) as changing:
        take_over_dead(changing, now=NOW)

    run = session.get_one(TrainingRun, run_id)
    assert (run.status, run.attempts, run.finished_at) == ("failed", 2, NOW)
    assert run.reason is not None
    assert run.reason.startswith("the process that trained died, 2 times")
    assert next_waiting(engine, now=NOW) is None


def test_two_workers_that_get_the_same_run_train_once(engine: Engine, session: Session) -> None:
    run_id = request(engine)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(
            pool.map(lambda _: carry_out(engine, run_id, limits=LIMITS, clock=clock), range(2))
        )

    statuses = sorted(outcome["status"] for outcome in outcomes)
    assert statuses == ["finished before", "skipped"]
    assert session.get_one(TrainingRun, run_id).attempts == 1


def test_a_process_that_lost_its_run_changes_nothing_of_it(
    engine: Engine, session: Session
) -> None:
    run_id = request(engine)

    def lose(stage: str, percent: float) -> None:
        with transaction(engine) as changing:
            changing.execute(update(TrainingRun).values(attempts=2, stage="theirs"))

    outcome = carry_out(engine, run_id, limits=LIMITS, clock=clock, progress=lose)

    assert outcome["status"] == "taken over"
    run = session.get_one(TrainingRun, run_id)
    assert (run.status, run.stage) == ("running", "theirs")


def test_an_error_fails_the_run_with_its_reason(engine: Engine, session: Session) -> None:
    run_id = request(engine)

    def end(stage: str, percent: float) -> None:
        raise TimeoutError("too long")

    with pytest.raises(TimeoutError):
        carry_out(engine, run_id, limits=LIMITS, clock=clock, progress=end)
    with pytest.raises(TimeoutError):
        carry_out(
            engine,
            request(engine),
            limits=LIMITS,
            clock=clock,
            progress=end,
            reasons={TimeoutError: "stopped: it took over twice its budget"},
        )

    first, second = session.query(TrainingRun).order_by(TrainingRun.run_id)
    assert (first.status, first.reason) == ("failed", "TimeoutError: too long")
    assert (second.status, second.reason) == ("failed", "stopped: it took over twice its budget")


def tell(settings: Settings, code: str) -> str:
    """Run code of the tasks in a process whose Celery knows the servers of the tests."""
    done = subprocess.run(
        [sys.executable, "-c", f"from tasks import registry; {code}"],
        env={**os.environ, **environment_of(settings), "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_the_nightly_task_trains_once_on_the_days_of_the_setting(
    engine: Engine, settings: Settings
) -> None:
    told = tell(settings, "print(registry.train_nightly(), registry.train_nightly())")

    run = only_run(engine)
    assert told.rstrip().endswith("None")
    assert (run.status, run.days, run.requested_by) == ("skipped", 30, "timetable")


def test_a_run_whose_message_was_lost_is_sent_again_and_sends_the_next(
    engine: Engine, settings: Settings, redis_client: redis.Redis, session: Session
) -> None:
    first, second = request(engine, 1), request(engine, 2)

    told = tell(
        settings,
        "print(registry.catch_up()); registry.app.control.purge(); "
        f"registry.train_run(run_id={first})",
    )

    assert "train.run" in told
    assert session.get_one(TrainingRun, first).status == "skipped"
    message = orjson.loads(redis_client.lindex("millrace:celery:training", 0) or b"{}")
    assert message["headers"]["kwargsrepr"] == repr({"run_id": second})
    assert redis_client.llen("millrace:celery:training") == 1


def test_the_time_limits_follow_the_budget(settings: Settings) -> None:
    short = replace(settings, train_time_budget_s=10)

    told = tell(short, "print(registry.train_run.soft_time_limit, registry.train_run.time_limit)")

    assert told.split() == ["80", "140"]


def test_nothing_is_sent_while_somebody_trains(engine: Engine) -> None:
    request(engine)

    with transaction(engine) as training:
        lock_job(training, "train")
        assert next_waiting(engine, now=NOW) is None
    assert next_waiting(engine, now=NOW) is not None
