"""Faults at random, three at a time, for as long as is asked."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.conftest import Judge
from tests.faults.mischief import Mischief
from tests.faults.plan import Plan
from tests.faults.proxy import Proxy
from tests.faults.recorder import Recorder, load
from tests.faults.system import HOST, System

pytestmark = pytest.mark.soak

SETTINGS = {"web_processes": 2}
AT_ONCE = 3
ROUND_S = 60.0


@pytest.fixture(scope="module")
def proxy(system: System) -> Iterator[Proxy]:
    """Put a proxy in front of the door."""
    made = Proxy((HOST, system.settings.port))
    yield made
    made.close()


def test_soak(
    system: System,
    recorder: Recorder,
    judge: Judge,
    proxy: Proxy,
    chance: random.Random,
    plan: Plan,
) -> None:
    until = time.monotonic() + plan.minutes * 60
    rounds = 0
    while time.monotonic() < until:
        rounds += 1
        _soak(system, recorder, judge, proxy, chance, rounds, until)
        recorder.path.unlink()

    assert rounds


def _soak(
    system: System,
    recorder: Recorder,
    judge: Judge,
    proxy: Proxy,
    chance: random.Random,
    number: int,
    until: float,
) -> None:
    """Let faults happen for a minute, then let the system come to rest and judge it."""
    end = min(until, time.monotonic() + ROUND_S)
    seeds = [chance.randrange(1_000_000) for _ in range(AT_ONCE + 1)]
    done: Counter[str] = Counter()
    mischief = Mischief(system, proxy, done)
    threads = [
        threading.Thread(target=mischief.go_on, args=(random.Random(seed), end))
        for seed in seeds[1:]
    ]
    with load(HOST, proxy.port, recorder, seed=seeds[0]):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    mischief.repair()
    what = ", ".join(f"{count} times {name}" for name, count in sorted(done.items()))
    verdict = judge(f"round {number}: {what}", kills=mischief.kills, within_s=120.0)

    assert not mischief.errors, mischief.errors
    assert verdict.ok, verdict
