"""Kill and stop the workers at each moment of the drain."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import inbox
from event_ids import uuid7
from tests.builders import crafted
from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.recorder import Recorder, load
from tests.faults.system import HOST, System

POINTS = (
    "drain.taken",
    "drain.before_store",
    "drain.before_commit",
    "drain.committed",
    "drain.before_done",
    "drain.done",
)
#: What a run of a minute has time for: before what was stored is safe, and after.
SOME = ("drain.before_commit", "drain.committed")


@pytest.mark.parametrize(
    "point",
    [pytest.param(each, marks=pytest.mark.smoke if each in SOME else ()) for each in POINTS],
)
def test_worker_child_killed(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan, point: str
) -> None:
    kills = _kill_at(system, recorder, port, seed, plan, point, "kill")
    verdict = judge(f"killed at {point}", kills=kills)

    assert verdict.ok, verdict


@pytest.mark.parametrize("point", POINTS)
def test_worker_main_process_killed(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan, point: str
) -> None:
    kills = _kill_at(system, recorder, port, seed, plan, point, "kill-parent")
    verdict = judge(f"main process killed while a child is at {point}", kills=kills)

    assert verdict.ok, verdict


@pytest.mark.parametrize("point", POINTS)
def test_worker_fails_with_an_error(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, point: str
) -> None:
    with load(HOST, port, recorder, seed=seed, clients=2):
        for _ in range(3):
            fired = len(system.fired(point))
            system.arm(point, "raise")
            system.wait_until_fired(point, times=fired + 1)
    verdict = judge(f"an OSError at {point}, 3 times")

    assert verdict.ok, verdict


def test_worker_killed_with_its_children(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    kills = plan.pick(smoke=4, usual=20, all_=100)
    held = 0
    system.start("second")
    with load(HOST, port, recorder, seed=seed, clients=2):
        for number in range(kills):
            _put_poison(system, recorder)
            name = ("worker", "second")[number % 2]
            held += system.wait_until_holding(name)
            time.sleep(chance.random() * 0.02)
            system.kill(name)
            system.start(name)
    verdict = judge(f"main process and children, {held} times while it held batches", kills=kills)
    system.kill("second")

    assert verdict.ok, verdict
    # A good event may be given up too, after its workers were killed again and again.
    assert verdict.dead >= kills
    assert held >= kills / 2


def test_all_worker_children_killed_at_once(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    kills = 0
    with load(HOST, port, recorder, seed=seed, clients=2):
        for _ in range(plan.pick(smoke=2, usual=8, all_=30)):
            system.wait_until_holding("worker", within_s=5.0)
            time.sleep(chance.random() * 0.02)
            for child in system.tree("worker")[1:]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
                    kills += 1
            time.sleep(0.5)
            system.revive()
    verdict = judge("all children of a worker at once, while it held batches", kills=kills)

    assert verdict.ok, verdict


@pytest.mark.parametrize("point", POINTS)
def test_worker_child_stopped(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, point: str
) -> None:
    times = len(system.fired(point))
    with load(HOST, port, recorder, seed=seed):
        system.arm(point, "stop")
        pid = system.wait_until_fired(point, times=times + 1)
        system.start("second")
        try:
            _wait_until_stored_without(system, pid)
        finally:
            _go_on(pid)
            system.stop("second")
    verdict = judge(f"stopped at {point} until others had stored what it held")

    assert verdict.ok, verdict


def test_worker_stopped_between_take_and_store(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int
) -> None:
    with load(HOST, port, recorder, seed=seed):
        for in_transaction in (False, True):
            with _stopped_while_holding(system, "worker", in_transaction=in_transaction):
                system.start("second")
                _wait_until_taken_over(system, within_s=25)
            time.sleep(1)
            system.kill("second")
    verdict = judge("a worker and its children stopped twice, once inside of a transaction")

    assert verdict.ok, verdict


def _kill_at(
    system: System, recorder: Recorder, port: int, seed: int, plan: Plan, point: str, action: str
) -> int:
    """Kill under load, again and again, whoever comes to a point; give how often."""
    kills = plan.pick(smoke=1, usual=3, all_=15 if action == "kill" else 10)
    before = len(system.fired(point))
    with load(HOST, port, recorder, seed=seed):
        for number in range(1, kills + 1):
            system.arm(point, action)
            system.wait_until_fired(point, times=before + number)
    return kills


def _put_poison(system: System, recorder: Recorder) -> None:
    """Put an event into the inbox that the door would refuse and the database cannot store."""
    event_id = uuid7(int(time.time() * 1000))
    body = crafted({"event_id": event_id, "quantity": 2**31})
    inbox.put(system.client, body, events=1, days=[])
    recorder.note([event_id], 1, 201)


def _go_on(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).send_signal(signal.SIGCONT)


def _wait_until_stored_without(system: System, pid: int, *, within_s: float = 30.0) -> None:
    """Wait until others have taken over what a process holds, and have stored something more."""
    deadline = time.monotonic() + within_s
    stored = None
    while time.monotonic() < deadline:
        if not system.holders().get(pid):
            stored = _count_events(system) if stored is None else stored
            if _count_events(system) > stored:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody took over within {within_s} s")


@contextlib.contextmanager
def _stopped_while_holding(system: System, name: str, *, in_transaction: bool) -> Iterator[None]:
    """Stop a worker at a moment at which it holds batches; let it go on in the end."""
    for _ in range(50):
        system.wait_until_holding(name)
        stopped = system.tree(name)
        for process in stopped:
            process.send_signal(signal.SIGSTOP)
        try:
            pids = {process.pid for process in stopped}
            holds = any(held and pid in pids for pid, held in system.holders().items())
            if holds and (not in_transaction or _is_in_transaction(system)):
                yield
                return
        finally:
            for process in stopped:
                process.send_signal(signal.SIGCONT)
    raise AssertionError("the worker was never stopped at such a moment")


def _wait_until_taken_over(system: System, *, within_s: float) -> None:
    """Wait until another worker has taken what the stopped ones hold, and stores again.

    These are neither dead nor at work. If one holds rows too, the others wait until the server
    ends its transaction.
    """
    held = {pid for pid, batches in system.holders().items() if batches}
    stored = _count_events(system)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        still = {pid for pid, batches in system.holders().items() if batches}
        if not held & still and _count_events(system) > stored:
            return
        time.sleep(0.05)
    raise AssertionError(f"nobody took over within {within_s} s")


def _count_events(system: System) -> int:
    with Session(system.engine) as session:
        return int(session.execute(text("SELECT count(*) FROM events")).scalar_one())


def _is_in_transaction(system: System) -> bool:
    # The statement that was under way comes to its end, and the server waits for the next.
    time.sleep(0.3)
    with Session(system.engine) as session:
        found = session.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'millrace worker' "
                "AND state = 'idle in transaction'"
            )
        )
        return bool(found.scalar_one())
