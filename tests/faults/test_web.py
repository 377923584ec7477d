"""Kill the web processes at each moment of a request, and restart everything under load."""

from __future__ import annotations

import random
import signal
import socket
import time

import pytest

from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.proxy import Proxy
from tests.faults.recorder import Recorder, load
from tests.faults.system import HOST, System

SETTINGS = {"web_processes": 2}
POINTS = ("door.before_put", "door.put", "door.before_answer")


@pytest.mark.parametrize(
    "point", [*POINTS[:1], pytest.param(POINTS[1], marks=pytest.mark.smoke), *POINTS[2:]]
)
def test_web_process_killed(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan, point: str
) -> None:
    kills = plan.pick(smoke=1, usual=2, all_=6)
    before = len(system.fired(point))
    with load(HOST, port, recorder, seed=seed):
        for number in range(1, kills + 1):
            system.arm(point)
            system.wait_until_fired(point, times=before + number)
            time.sleep(1)
    verdict = judge(f"killed at {point}", kills=kills)

    assert verdict.ok, verdict
    assert verdict.accepted


def test_web_process_killed_during_the_xadd(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    kills = plan.pick(smoke=1, usual=3, all_=10)
    proxy = Proxy(system.settings.redis_url.removeprefix("unix://").partition("?")[0])
    address = f"redis://{HOST}:{proxy.port}/0"
    with (
        system.changed(redis_url=address, door_timeout_s=2.0),
        load(HOST, port, recorder, seed=seed),
    ):
        for _ in range(kills):
            # Each command is on its way for so long that the death finds some there.
            with proxy.being(latency_s=0.1):
                time.sleep(0.3 + chance.random() * 0.2)
                for child in system.tree("web")[1:]:
                    child.kill()
            time.sleep(1)
            system.revive()
    proxy.close()
    verdict = judge("all of them killed while commands are on their way to Redis", kills=kills)

    assert verdict.ok, verdict


def test_web_killed(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
) -> None:
    kills = plan.pick(smoke=1, usual=6, all_=20)
    with load(HOST, port, recorder, seed=seed, pause_s=0.01):
        for _ in range(kills):
            time.sleep(1 + chance.random())
            system.kill("web")
            system.start("web")
            system.wait_until_ready()
    verdict = judge("the main process and all others", kills=kills)

    assert verdict.ok, verdict
    assert verdict.accepted > 1000


@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept-connections", "new-connections"])
def test_rolling_restart(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    plan: Plan,
    keep_alive: bool,
) -> None:
    restarts = plan.pick(smoke=1, usual=1, all_=3)
    with load(HOST, port, recorder, seed=seed, clients=8, keep_alive=keep_alive, pause_s=0.02):
        for _ in range(restarts):
            time.sleep(1)
            _restart_web(system)
            _restart_worker(system)
    answers = [found.answer for found in recorder.read()]
    verdict = judge(f"web and workers, {restarts} times; {len(answers):,} requests")

    assert verdict.ok, verdict
    assert set(answers) == {201}, {each: answers.count(each) for each in set(answers)}


def test_web_server_restarted_on_a_socket_that_is_held_for_it(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, plan: Plan
) -> None:
    times = plan.pick(smoke=1, usual=2, all_=6)
    assert system.stop("web") == 0
    with socket.create_server((HOST, port), backlog=2048) as held:
        system.start("web", held=held)
        system.wait_until_ready()
        with load(HOST, port, recorder, seed=seed, clients=8, keep_alive=False, pause_s=0.02):
            for _ in range(times):
                time.sleep(1)
                assert system.stop("web") == 0
                system.start("web", held=held)
                system.wait_until_ready()
        answers = [found.answer for found in recorder.read()]
        assert system.stop("web") == 0
    system.start("web")
    verdict = judge(f"in order, {times} times; {len(answers):,} requests")

    assert verdict.ok, verdict
    assert set(answers) == {201}, {each: answers.count(each) for each in set(answers)}


def _restart_web(system: System, *, within_s: float = 60.0) -> None:
    """Let granian put new processes in the place of the old ones, and wait until it has."""
    main, *others = system.tree("web")
    old = {process.pid for process in others}
    main.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + within_s
    while old & {process.pid for process in main.children(recursive=True)}:
        assert time.monotonic() < deadline, "the old processes are still there"
        time.sleep(0.05)


def _restart_worker(system: System) -> None:
    """Start the new worker, then let the old one end in order."""
    system.start("second")
    _wait_until_at_work(system, "second")
    assert system.stop("worker") == 0
    system.start("worker")
    _wait_until_at_work(system, "worker")
    assert system.stop("second") == 0


def _wait_until_at_work(system: System, name: str, *, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not {process.pid for process in system.tree(name)} & system.holders().keys():
        assert time.monotonic() < deadline, f"{name} did not begin to work"
        time.sleep(0.05)
