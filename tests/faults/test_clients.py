"""Clients that repeat themselves, lose answers and have wrong clocks."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.product_metrics import ProductMetrics
from tests.faults.client import LOST
from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.proxy import Proxy
from tests.faults.recorder import Recorder, load, make_events, post
from tests.faults.system import HOST, System

DAY_S = 86_400


@pytest.mark.smoke
def test_a_batch_posted_100_times_by_8_clients_at_once(
    system: System, recorder: Recorder, judge: Judge, port: int, chance: random.Random
) -> None:
    product = f"the same {chance.random()}"
    events = make_events(chance, 100, now_ms=int(time.time() * 1000))
    ids = [event["event_id"] for event in events]
    for event in events:
        event |= {"event_type": "product_view", "product_id": product}
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
        assert session.get_one(ProductMetrics, product).total_views == 100


def test_batches_that_overlap(
    system: System, recorder: Recorder, judge: Judge, port: int, chance: random.Random, plan: Plan
) -> None:
    count = plan.pick(smoke=20, usual=60, all_=400)
    events = make_events(chance, count * 20, now_ms=int(time.time() * 1000))
    starts = [start for start in range(0, len(events) - 50, 10) for _ in range(2)]
    chance.shuffle(starts)
    before = _count_events(system)

    def send(start: int) -> None:
        part = events[start : start + 60]
        recorder.note([event["event_id"] for event in part], 1, post(HOST, port, part))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, starts))
    verdict = judge(f"{len(starts):,} batches of 60, each event in about 12 of them")

    assert verdict.ok, verdict
    assert verdict.accepted == verdict.stored == _count_events(system) - before


@pytest.mark.smoke
def test_answer_lost_after_acceptance(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int
) -> None:
    proxy = Proxy((HOST, port), seed=seed)
    with (
        proxy.being(loses_answers=0.5),
        load(HOST, proxy.port, recorder, seed=seed, gives_up=0.3, pause_s=0.01),
    ):
        time.sleep(3)
    proxy.close()
    verdict = judge("half of the answers lost, events sent again")

    assert verdict.ok, verdict
    # Those who gave up did not know that they were heard.
    assert 0 < verdict.late <= verdict.unanswered


def test_requests_cut_midway(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int
) -> None:
    proxy = Proxy((HOST, port), seed=seed)
    with (
        proxy.being(cuts=0.2, loses_answers=0.2),
        load(HOST, proxy.port, recorder, seed=seed, pause_s=0.01),
    ):
        time.sleep(3)
    proxy.close()
    verdict = judge("a fifth of the requests and of the answers cut")

    assert verdict.ok, verdict
    assert verdict.accepted


def test_slow_and_deaf_network(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int
) -> None:
    proxy = Proxy((HOST, port), seed=seed)
    with load(HOST, proxy.port, recorder, seed=seed, timeout_s=1.0):
        with proxy.being(latency_s=0.2):
            time.sleep(2)
        with proxy.being(half_open=True):
            time.sleep(2)
        time.sleep(1)
        proxy.cut_all()
        time.sleep(1)
    proxy.close()
    verdict = judge("200 ms each way, then half-open for 2 s, then cut")

    assert verdict.ok, verdict
    assert any(found.answer == LOST for found in recorder.read())


@pytest.mark.parametrize("days", [-1, 1])
def test_clock_of_the_client_is_off(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, days: int
) -> None:
    with (
        load(HOST, port, recorder, seed=seed, clients=2, clock_s=days * DAY_S),
        load(HOST, port, recorder, seed=seed + 1, clients=2),
    ):
        time.sleep(2)
    verdict = judge(f"two clients {days:+d} day off, two right")

    assert verdict.ok, verdict
    assert verdict.accepted == verdict.stored


def _count_events(system: System) -> int:
    with Session(system.engine) as session:
        return int(session.execute(text("SELECT count(*) FROM events")).scalar_one())
