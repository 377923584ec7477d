"""Train on next to nothing, and kill the trainer, while events come in."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import count

import pytest

from event_ids import uuid7
from tasks.train import request_run
from tests.builders import empty
from tests.faults.checker import wait_until_empty
from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.recorder import Event, Recorder, load, post
from tests.faults.system import HOST, System
from tests.faults.timetable import ask, look, wait_for

Kind = Callable[[int], Event]
ENDED = ("promoted", "rejected", "skipped", "failed")


def one_user(number: int) -> Event:
    return {"event_type": "product_view", "user_id": "u", "product_id": f"p{number % 50}"}


def one_product(number: int) -> Event:
    return {"event_type": "product_view", "user_id": f"u{number % 50}", "product_id": "p"}


def all_null(number: int) -> Event:
    return {"event_type": "product_view", "user_id": None, "product_id": None, "value": None}


@pytest.mark.parametrize("kind", [one_user, one_product, all_null], ids=lambda it: it.__name__)
def test_training_on(
    system: System, recorder: Recorder, judge: Judge, port: int, plan: Plan, kind: Kind
) -> None:
    _empty(system)
    system.start("trainer")
    numbers = count()
    _send(recorder, port, kind, numbers, requests=4)
    run_id = _begin(system)
    while not _has_ended(system, run_id):
        _send(recorder, port, kind, numbers, requests=1)
        system.revive()
    system.stop("trainer")
    ((status, reason),) = look(
        system, "SELECT status, reason FROM training_runs WHERE run_id = :id", id=run_id
    )
    verdict = judge(f"the run is {status}: {reason}")

    assert verdict.ok, verdict
    assert (status, bool(reason)) == ("skipped", True)


def test_training_on_nothing(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int
) -> None:
    _empty(system)
    system.start("trainer")
    run_id = _begin(system)
    wait_for(system, "end of the training", partial(_has_ended, system, run_id))
    with load(HOST, port, recorder, seed=seed):
        time.sleep(1)
    system.stop("trainer")
    verdict = judge("before the first event")

    assert verdict.ok, verdict
    assert _status(system, run_id) == "skipped"


def test_training_killed_midway_and_taken_over(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    rounds = plan.pick(smoke=1, usual=2, all_=6)
    ended = []
    system.start("trainer")
    before = len(system.fired("train.stage"))
    with load(HOST, port, recorder, seed=seed):
        time.sleep(2)
        for number in range(1, rounds + 1):
            system.arm("train.stage", "kill")
            run_id = _begin(system)
            system.wait_until_fired("train.stage", times=before + number)
            # The server takes a moment to see that its client is dead; Beat asks for it later.
            wait_for(system, "run of somebody else", partial(_take_over, system, run_id))
            wait_for(
                system, "end of the training", partial(_has_ended, system, run_id), within_s=180
            )
            ended += look(
                system,
                "SELECT status, attempts, reason FROM training_runs WHERE run_id = :id",
                id=run_id,
            )
    system.stop("trainer")
    verdict = judge(f"and begun once more: {ended[-1][0]}", kills=rounds)

    assert verdict.ok, verdict
    assert all(status in ("promoted", "rejected", "skipped") for status, *_ in ended), ended
    assert [attempts for _, attempts, _ in ended] == [2] * rounds


def _empty(system: System) -> None:
    wait_until_empty(system.client)
    empty(system.engine)


def _begin(system: System) -> int:
    run_id = request_run(system.engine, days=30, now=datetime.now(UTC), requested_by="test")
    ask(system, "train.run", run_id=run_id)
    return run_id


def _take_over(system: System, run_id: int) -> bool:
    if _status(system, run_id) == "running":
        attempts = look(system, "SELECT attempts FROM training_runs WHERE run_id = :id", id=run_id)
        if attempts == [(2,)]:
            return True
    ask(system, "jobs.catch_up")
    time.sleep(0.5)
    return _has_ended(system, run_id)


def _has_ended(system: System, run_id: int) -> bool:
    return _status(system, run_id) in ENDED


def _status(system: System, run_id: int) -> str:
    return str(look(system, "SELECT status FROM training_runs WHERE run_id = :id", id=run_id)[0][0])


def _send(recorder: Recorder, port: int, kind: Kind, numbers: count[int], *, requests: int) -> None:
    for _ in range(requests):
        now_ms = int(time.time() * 1000)
        events = [{**kind(next(numbers)), "event_id": uuid7(now_ms)} for _ in range(50)]
        ids = [event["event_id"] for event in events]
        answer = post(HOST, port, events)
        recorder.note(ids, 1, answer)
