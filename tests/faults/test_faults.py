"""Break each part under load; nothing that was accepted may be lost or stored twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import inbox
from event_ids import uuid7
from models.product_metrics import ProductMetrics
from tests.builders import crafted
from tests.faults.checker import Verdict
from tests.faults.recorder import Recorder, load, make_events, post
from tests.faults.system import HOST, System

Judge = Callable[[str], Verdict]
KILLS = 20


@pytest.fixture
def port(system: System) -> int:
    """Give the door's port."""
    return system.settings.port


def test_a_batch_posted_100_times_by_8_clients_at_once(
    system: System, recorder: Recorder, judge: Judge, port: int
) -> None:
    events = make_events(random.Random(1), 100, now_ms=int(time.time() * 1000))
    ids = [event["event_id"] for event in events]
    for event in events:
        event |= {"event_type": "product_view", "product_id": "the same"}
    before = _count_events(system)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(HOST, port, events), range(100)))
    for attempt, answer in enumerate(answers, 1):
        recorder.note(ids, attempt, answer)
    verdict = judge(f"{Counter(answers)[201]} answers 201 of 100")

    assert verdict.ok, verdict
    assert Counter(answers) == {201: 100}
    assert _count_events(system) - before == 100
    with Session(system.engine) as session:
        assert session.get_one(ProductMetrics, "the same").total_views == 100


def test_worker_killed_with_its_children(
    system: System, recorder: Recorder, judge: Judge, port: int
) -> None:
    chance = random.Random(2)
    held = 0
    system.start("second")
    with load(HOST, port, recorder, seed=20, clients=2):
        for number in range(KILLS):
            _put_poison(system, recorder)
            name = ("worker", "second")[number % 2]
            held += system.wait_until_holding(name)
            time.sleep(chance.random() * 0.02)
            system.kill(name)
            system.start(name)
    verdict = judge(f"{KILLS} kills, {held} of them while it held batches")
    system.kill("second")

    assert verdict.ok, verdict
    assert verdict.dead == KILLS
    assert held >= KILLS / 2


def test_worker_children_killed_alone(
    system: System, recorder: Recorder, judge: Judge, port: int
) -> None:
    chance = random.Random(3)
    kills = 0
    with load(HOST, port, recorder, seed=30, clients=2):
        for _ in range(8):
            system.wait_until_holding("worker", within_s=5.0)
            time.sleep(chance.random() * 0.02)
            for child in system.tree("worker")[1:]:
                child.kill()
                kills += 1
            time.sleep(0.5)
    verdict = judge(f"{kills} kills")

    assert verdict.ok, verdict


def test_web_killed(system: System, recorder: Recorder, judge: Judge, port: int) -> None:
    chance = random.Random(4)
    kills = 6
    with load(HOST, port, recorder, seed=40, pause_s=0.01):
        for _ in range(kills):
            time.sleep(1 + chance.random())
            system.kill("web")
            system.start("web")
            system.wait_until_ready()
    verdict = judge(f"{kills} kills")

    assert verdict.ok, verdict
    assert verdict.accepted > 1000


def test_valkey_killed(system: System, recorder: Recorder, judge: Judge, port: int) -> None:
    # A killed process loses nothing that it wrote: the kernel has it. At a power loss up to a
    # second of accepted events is lost, as `appendfsync everysec` says.
    chance = random.Random(5)
    kills = 4
    ended: list[str] = []
    with load(HOST, port, recorder, seed=50, pause_s=0.01):
        for _ in range(kills):
            time.sleep(1 + chance.random())
            system.kill_server("valkey")
            time.sleep(0.5)
            system.start_server("valkey")
            time.sleep(2)
            ended += system.revive()
    verdict = judge(f"{kills} kills; started again: {', '.join(ended) or 'nothing'}")

    assert verdict.ok, verdict
    assert verdict.accepted > 1000


def test_postgres_killed(system: System, recorder: Recorder, judge: Judge, port: int) -> None:
    chance = random.Random(6)
    backends = 0
    with load(HOST, port, recorder, seed=60):
        for _ in range(3):
            time.sleep(1 + chance.random())
            # The death of one backend makes the server drop all others and recover.
            backends += _kill_a_storing_backend(system)
        for number in (signal.SIGQUIT, signal.SIGKILL):
            time.sleep(2 + chance.random())
            system.kill_server("postgres", number)
            time.sleep(0.5)
            system.start_server("postgres")
    system.wait_until_ready()
    verdict = judge(f"{backends} backends killed, 1 immediate shutdown, 1 kill of the server")

    assert verdict.ok, verdict
    assert backends


def test_worker_stopped_between_take_and_store(
    system: System, recorder: Recorder, judge: Judge, port: int
) -> None:
    with load(HOST, port, recorder, seed=70):
        for in_transaction in (False, True):
            with _stopped_while_holding(system, "worker", in_transaction=in_transaction):
                system.start("second")
                _wait_until_taken_over(system, within_s=25)
            time.sleep(1)
            system.kill("second")
    verdict = judge("2 stops while it held batches, 1 inside of a transaction")

    assert verdict.ok, verdict


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


def _put_poison(system: System, recorder: Recorder) -> None:
    """Put an event into the inbox that the door would refuse and the database cannot store."""
    event_id = uuid7(int(time.time() * 1000))
    body = crafted({"event_id": event_id, "quantity": 2**31})
    inbox.put(system.client, body, events=1, days=[])
    recorder.note([event_id], 1, 201)


def _kill_a_storing_backend(system: System) -> bool:
    with psycopg.connect(system.settings.database_url, autocommit=True) as connection:
        for _ in range(300):
            row = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'millrace worker' "
                "AND state <> 'idle' LIMIT 1"
            ).fetchone()
            if row:
                os.kill(row[0], signal.SIGKILL)
                return True
            time.sleep(0.005)
    return False


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
