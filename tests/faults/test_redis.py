"""Take Redis away in every way, with the doors' spool and without it."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.proxy import Proxy
from tests.faults.recorder import Recorder, load
from tests.faults.system import HOST, System

STALL_S = 30.0


@pytest.fixture(scope="module", params=["spool", "off"], autouse=True)
def spool(system: System, request: pytest.FixtureRequest) -> Iterator[bool]:
    """Switch the doors' spool on or off for the scenarios."""
    with system.changed(spool=request.param):
        yield request.param != "off"


@pytest.mark.smoke
def test_redis_killed(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    # A killed process loses nothing that it wrote: the kernel has it. With `appendfsync everysec`
    # it may have answered before it wrote, when the disk is slow.
    assert system.client.config_get("appendfsync") == {"appendfsync": "no"}
    kills = plan.pick(smoke=1, usual=3, all_=8)
    ended: list[str] = []
    with load(HOST, port, recorder, seed=seed, pause_s=0.01):
        for _ in range(kills):
            time.sleep(1 + chance.random())
            system.kill_server("valkey")
            time.sleep(1 + chance.random())
            system.start_server("valkey")
            time.sleep(2)
            ended += system.revive()
    verdict = judge(
        f"killed and started again on its file; also began again: {', '.join(ended) or 'nobody'}",
        kills=kills,
    )

    assert verdict.ok, verdict
    assert verdict.accepted > 1000


def test_redis_stalled(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan, spool: bool
) -> None:
    seconds = plan.pick(smoke=3, usual=10, all_=int(STALL_S))
    with load(HOST, port, recorder, seed=seed):
        time.sleep(1)
        system.kill_server("valkey", signal.SIGSTOP)
        time.sleep(seconds)
        system.kill_server("valkey", signal.SIGCONT)
        time.sleep(1)
    verdict = judge(f"stopped for {seconds} s")

    assert verdict.ok, verdict
    if spool:
        assert {found.answer for found in recorder.read()} == {201}


def test_redis_at_maxmemory(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int
) -> None:
    workers = system.tree("worker")
    used = int(system.client.info("memory")["used_memory"])
    limit = str(system.client.config_get("maxmemory")["maxmemory"])
    with load(HOST, port, recorder, seed=seed, pause_s=0.01):
        time.sleep(1)
        for process in workers:
            process.send_signal(signal.SIGSTOP)
        system.client.config_set("maxmemory", used + 8_000_000)
        time.sleep(5)
        system.client.config_set("maxmemory", used)
        time.sleep(2)
        system.client.config_set("maxmemory", limit)
        for process in workers:
            process.send_signal(signal.SIGCONT)
        time.sleep(1)
    answers = {found.answer for found in recorder.read()}
    verdict = judge("nobody stores until it is full, then a limit below what it holds")

    assert verdict.ok, verdict
    assert verdict.accepted
    # Too much is no outage: the spool is not for it.
    assert 503 in answers


def test_redis_behind_a_bad_network(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int
) -> None:
    proxy = Proxy(system.settings.redis_url.removeprefix("unix://").partition("?")[0], seed=seed)
    with system.changed(redis_url=f"redis://{HOST}:{proxy.port}/0"):
        with load(HOST, port, recorder, seed=seed):
            time.sleep(1)
            with proxy.being(latency_s=0.05):
                time.sleep(3)
            with proxy.being(half_open=True):
                time.sleep(3)
            with proxy.being(loses_answers=0.1, cuts=0.02):
                time.sleep(3)
            proxy.cut_all()
            time.sleep(2)
            system.revive()
        verdict = judge("50 ms each way, half-open for 3 s, a tenth of the answers lost, all cut")
    proxy.close()

    assert verdict.ok, verdict
    assert verdict.accepted
