"""Take the newest migration back and apply it again while events come in."""

from __future__ import annotations

import random
import time

import pytest

from models.migrate import migrate, newest_revision
from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.recorder import Recorder, load
from tests.faults.system import HOST, System
from tests.faults.timetable import ask


@pytest.mark.smoke
def test_migration_down_and_up(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    rounds = plan.pick(smoke=1, usual=3, all_=15)
    reached = []
    with load(HOST, port, recorder, seed=seed):
        for _ in range(rounds):
            time.sleep(1 + chance.random())
            migrate(system.engine, target="-1")
            ask(system, "aggregate.dirty")
            time.sleep(chance.random())
            reached.append(migrate(system.engine))
    system.wait_until_ready()
    verdict = judge(f"the newest revision, {rounds} times")

    assert verdict.ok, verdict
    assert (verdict.dead, reached) == (0, [newest_revision()] * rounds)
