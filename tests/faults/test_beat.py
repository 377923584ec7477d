"""Two Beats, a Beat that was away for days, and a broker that is away when a job is due."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

import inbox
from cli.processes import kill_group
from cli.servers.secrets import ensure_secrets
from cli.stack import ROOT, environment_for, programs_for
from event_ids import uuid7
from tasks.jobs import TIMETABLE, overdue
from tests.builders import crafted
from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.recorder import Recorder, load
from tests.faults.system import HOST, System
from tests.faults.timetable import ask, look, wait_for

JOBS = [due.job for due in TIMETABLE]


def test_two_beats_at_once(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan
) -> None:
    rounds = plan.pick(smoke=1, usual=2, all_=5)
    system.start("trainer")
    with load(HOST, port, recorder, seed=seed), _second_beat(system):
        for _ in range(rounds):
            _be_due(system)
            for _ in range(3):
                for due in TIMETABLE:
                    ask(system, due.task, times=2)
            wait_for(system, "end of all jobs", lambda: not _late(system), within_s=120)
            runs = look(system, "SELECT job, runs FROM job_runs WHERE job = ANY(:jobs)", jobs=JOBS)
            assert sorted(runs) == [(job, 1) for job in sorted(JOBS)]
    verdict = judge(f"each asks for each job three times, {rounds} times")
    system.kill("trainer")

    assert verdict.ok, verdict


def test_beat_dead_for_three_days(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int
) -> None:
    now = datetime.now(UTC)
    system.kill("beat")
    system.start("trainer")
    _be_due(system)
    for due in TIMETABLE:
        before = due.last_period(now - timedelta(days=4))
        _note_done(system, due.job, before)
    late = sorted(due.job for due in overdue(system.engine, now=now))
    with load(HOST, port, recorder, seed=seed):
        system.start("beat")
        # Beat asks for it within a quarter of an hour.
        ask(system, "jobs.catch_up")
        wait_for(system, "end of what was missed", lambda: not _late(system), within_s=120)
    newest = look(
        system,
        "SELECT job, max(period) FROM job_runs WHERE job = ANY(:jobs) AND status = 'done' "
        "GROUP BY job",
        jobs=JOBS,
    )
    verdict = judge(f"late were {', '.join(late)}; all caught up", kills=1)
    system.kill("trainer")

    assert verdict.ok, verdict
    assert {"aggregate-daily", "partitions", "reconcile", "retrain"} <= set(late)
    assert dict(newest) == {due.job: due.last_period(datetime.now(UTC)) for due in TIMETABLE}


def test_broker_away_when_jobs_are_due(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan
) -> None:
    times = plan.pick(smoke=1, usual=2, all_=5)
    # A sweep is due every five seconds.
    for _ in range(times):
        with load(HOST, port, recorder, seed=seed):
            time.sleep(1)
            system.kill_server("valkey")
            time.sleep(6)
            system.start_server("valkey")
            wait_for(system, "broker", lambda: system.client.ping())
        _put_without_a_bell(system, recorder)
    verdict = judge(f"for 6 s, {times} times; then a batch that no door rang for", kills=times)

    assert verdict.ok, verdict


def test_beat_killed_when_jobs_are_due(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan
) -> None:
    kills = plan.pick(smoke=1, usual=2, all_=10)
    before = len(system.fired("beat.due"))
    with load(HOST, port, recorder, seed=seed):
        for number in range(1, kills + 1):
            system.arm("beat.due", "kill")
            system.wait_until_fired("beat.due", times=before + number)
    system.arm("beat.due", "raise")
    system.wait_until_fired("beat.due", times=before + kills + 1)
    _put_without_a_bell(system, recorder)
    verdict = judge("while it sends a job, and once an error instead", kills=kills)

    assert verdict.ok, verdict


@contextlib.contextmanager
def _second_beat(system: System) -> Iterator[None]:
    """Run another Beat with a schedule file of its own."""
    (beat,) = (
        item.command
        for item in programs_for(system.settings, system.data_dir)
        if item.name == "beat"
    )
    own = [f"{word}-2" if word.endswith("beat-schedule") else word for word in beat]
    with (system.data_dir / "log" / "beat-2.log").open("ab") as log:
        process = subprocess.Popen(
            own,
            cwd=ROOT,
            env=environment_for(system.settings, ensure_secrets(system.data_dir)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
        assert process.poll() is None
    finally:
        kill_group(process.pid)
        process.wait()


def _be_due(system: System) -> None:
    """Forget that any job was ever done."""
    with system.engine.begin() as connection:
        connection.execute(text("DELETE FROM job_runs"))


def _note_done(system: System, job: str, period: str) -> None:
    with system.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO job_runs "
                "(job, period, status, runs, started_at, finished_at, outcome) "
                "VALUES (:job, :period, 'done', 1, now() - interval '3 days', "
                "now() - interval '3 days', '{}')"
            ),
            {"job": job, "period": period},
        )


def _late(system: System) -> list[str]:
    return [due.job for due in overdue(system.engine, now=datetime.now(UTC))]


def _put_without_a_bell(system: System, recorder: Recorder) -> None:
    """Put a batch that only the sweep can find."""
    now = datetime.now(UTC)
    event_id = uuid7(int(now.timestamp() * 1000))
    event = {"event_id": event_id, "product_id": "p0", "occurred_at": now.isoformat()}
    inbox.put(system.client, crafted(event), events=1, days=[now.date()])
    recorder.note([event_id], 1, 201)
