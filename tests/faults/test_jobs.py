"""Kill the timed jobs midway, run them twice, and run them at once, while events come in."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pytest

from event_ids import uuid7
from models.database import transaction
from models.erasures import request_erasure
from models.person import Person
from models.suppressions import Salts
from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.recorder import Recorder, load, make_events, post
from tests.faults.system import HOST, System
from tests.faults.timetable import KEY_PREFIX, ask, look, wait_for

DAY_MS = 86_400_000
#: Purged is what is older: the door takes events of a year.
KEPT_DAYS, OLD_DAYS = 30, 60


@pytest.mark.smoke
def test_aggregate_killed_midway(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan
) -> None:
    kills = plan.pick(smoke=1, usual=3, all_=15)
    with load(HOST, port, recorder, seed=seed):
        _kill(system, "aggregate.day", "aggregate.dirty", kills)
    verdict = judge("before the commit of its days", kills=kills)

    assert verdict.ok, verdict
    ask(system, "aggregate.dirty")
    wait_for(system, "aggregation", lambda: not _count(system, "dirty_days"))


def test_purge_killed_midway(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    kills = plan.pick(smoke=1, usual=2, all_=8)
    gone: list[str] = []
    with load(HOST, port, recorder, seed=seed):
        for number in range(kills):
            # Other days each time: those that were purged are sealed.
            gone += _send_old(system, recorder, port, chance, days=2, behind=2 * number)
            _kill(system, "purge.partition", "retention.purge", 1, days=KEPT_DAYS)
            wait_for(system, "purge", lambda: not _count_old(system))
    verdict = judge("before the commit of a partition", kills=kills, gone=gone)

    assert verdict.ok, verdict


def test_reconcile_killed_midway(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan
) -> None:
    kills = plan.pick(smoke=1, usual=2, all_=8)
    with load(HOST, port, recorder, seed=seed):
        for _ in range(kills):
            _forget(system, "reconcile")
            _kill(system, "reconcile.product", "metrics.reconcile", 1)
            wait_for(system, "recount", lambda: _done(system, "reconcile"))
    outcomes = look(system, "SELECT outcome FROM job_runs WHERE job = 'reconcile'")
    verdict = judge("after its count", kills=kills)

    assert verdict.ok, verdict
    assert [outcome["drifted"] for (outcome,) in outcomes] == [0]


@pytest.mark.parametrize("point", ["erase.tombstone", "erase.table"])
def test_erase_killed_midway(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
    point: str,
) -> None:
    kills = plan.pick(smoke=1, usual=2, all_=8)
    gone: list[str] = []
    with load(HOST, port, recorder, seed=seed):
        for number in range(kills):
            user_id = f"{point}-{number}"
            gone += _send_of(recorder, port, chance, user_id)
            erasure_id = _request(system, user_id)
            _kill(system, point, "privacy.erase", 1, erasure_id=str(erasure_id))
            wait_for(system, "erasure", partial(_is_erased, system, erasure_id))
    verdict = judge(f"{kills} people, each killed at {point}", kills=kills, gone=gone)

    assert verdict.ok, verdict
    left = look(system, "SELECT count(*) FROM events WHERE user_id LIKE :like", like=f"{point}-%")
    assert left == [(0,)]


def test_jobs_run_twice_and_at_once(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    rounds = plan.pick(smoke=1, usual=2, all_=10)
    gone: list[str] = []
    system.start("second")
    with load(HOST, port, recorder, seed=seed):
        for number in range(rounds):
            gone += _send_old(system, recorder, port, chance, days=3)
            user_id = f"at-once-{number}"
            gone += _send_of(recorder, port, chance, user_id)
            erasure_id = _request(system, user_id)
            _forget(system, "reconcile")
            for _ in range(3):
                ask(system, "aggregate.dirty")
                ask(system, "retention.purge", times=2, days=KEPT_DAYS)
                ask(system, "metrics.reconcile", times=2)
                ask(system, "privacy.erase", times=2, erasure_id=str(erasure_id))
                ask(system, "aggregate.daily")
            wait_for(system, "end of all", partial(_all_done, system, erasure_id), within_s=120)
    verdict = judge(f"27 jobs at once on two workers, {rounds} times", gone=gone)
    system.stop("second")

    assert verdict.ok, verdict
    runs = look(system, "SELECT max(runs) FROM job_runs WHERE job = 'reconcile'")
    assert runs == [(1,)]


def _kill(system: System, point: str, task: str, kills: int, **arguments: object) -> None:
    """Kill whoever comes to the point of a task. The task itself comes again by its message."""
    before = len(system.fired(point))
    for number in range(1, kills + 1):
        system.arm(point, "kill")
        wait_for(
            system,
            f"process at {point}",
            partial(_has_come, system, point, before + number, task, arguments),
        )


def _has_come(
    system: System, point: str, times: int, task: str, arguments: dict[str, object]
) -> bool:
    """Tell whether a point was obeyed so often, or ask for its task: it may find nothing to do."""
    if len(system.fired(point)) >= times:
        return True
    # A queue that grows by what is asked again and again would keep it waiting.
    if not system.client.llen(f"{KEY_PREFIX}default"):
        ask(system, task, **arguments)
    time.sleep(1)
    return False


def _send_old(
    system: System,
    recorder: Recorder,
    port: int,
    chance: random.Random,
    *,
    days: int,
    behind: int = 0,
) -> list[str]:
    """Send events of days that a purge will drop, and wait until they are stored; give the ids.

    They are of some days ten days apart, older than `behind` others.
    """
    now_ms = int(time.time() * 1000)
    ids: list[str] = []
    for number in range(days):
        old_ms = now_ms - (OLD_DAYS + 10 * (behind + number)) * DAY_MS
        ids += _send(recorder, port, make_events(chance, 50, now_ms=old_ms), when_ms=old_ms)
    wait_for(system, "old events", partial(_all_there, system, ids))
    return ids


def _all_there(system: System, ids: list[str]) -> bool:
    """Tell whether all are stored; those of days that were purged before are dead letters."""
    there = look(
        system,
        "SELECT (SELECT count(*) FROM events WHERE event_id = ANY(CAST(:ids AS uuid[]))) "
        "+ (SELECT count(*) FROM dead_letters WHERE event_id = ANY(CAST(:ids AS uuid[])))",
        ids=ids,
    )
    return bool(there == [(len(ids),)])


def _send_of(recorder: Recorder, port: int, chance: random.Random, user_id: str) -> list[str]:
    events = make_events(chance, 50, now_ms=int(time.time() * 1000))
    return _send(recorder, port, [{**event, "user_id": user_id} for event in events])


def _send(
    recorder: Recorder, port: int, events: list[dict[str, object]], *, when_ms: int | None = None
) -> list[str]:
    if when_ms is not None:
        when = datetime.fromtimestamp(when_ms / 1000, UTC).isoformat()
        events = [{**event, "event_id": uuid7(when_ms), "occurred_at": when} for event in events]
    ids = [str(event["event_id"]) for event in events]
    for attempt in range(1, 100):
        answer = post(HOST, port, events)
        recorder.note(ids, attempt, answer)
        if answer == 201:
            return ids
        time.sleep(0.1)
    raise AssertionError("never accepted")


def _request(system: System, user_id: str) -> UUID:
    with transaction(system.engine) as session:
        salts = Salts.of(system.settings.secret_key)
        return request_erasure(session, salts, Person(user_id), now=datetime.now(UTC)).erasure_id


def _is_erased(system: System, erasure_id: UUID) -> bool:
    found = look(system, "SELECT status FROM erasures WHERE erasure_id = :id", id=erasure_id)
    return found == [("done",)]


def _all_done(system: System, erasure_id: UUID) -> bool:
    erased = _is_erased(system, erasure_id)
    return erased and not _count_old(system) and _done(system, "reconcile")


def _count(system: System, table: str) -> int:
    return int(look(system, f"SELECT count(*) FROM {table}")[0][0])


def _count_old(system: System) -> int:
    return int(
        look(
            system,
            "SELECT count(*) FROM events WHERE occurred_at < now() - make_interval(days => :days)",
            days=KEPT_DAYS + 10,
        )[0][0]
    )


def _done(system: System, job: str) -> bool:
    newest = "SELECT status FROM job_runs WHERE job = :job ORDER BY started_at DESC LIMIT 1"
    return look(system, newest, job=job) == [("done",)]


def _forget(system: System, job: str) -> None:
    """Let a job be due again."""
    with transaction(system.engine) as session:
        session.connection().exec_driver_sql("DELETE FROM job_runs WHERE job = %s", (job,))
