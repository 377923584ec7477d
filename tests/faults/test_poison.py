"""Events that the door accepts and that the database cannot store, whatever it does with them."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from event_ids import uuid7
from tests.faults.conftest import Judge
from tests.faults.plan import Plan
from tests.faults.recorder import Recorder, load, make_events, post
from tests.faults.system import HOST, System
from tests.faults.timetable import look, wait_for

SETTINGS = {"store_timeout_s": 1.0}
BAD = "bad"

#: What the database does when it meets the event. The last kills its own process, and with it
#: every connection there is: the server starts again.
WHAT = {
    "refused": "RAISE 'a value it cannot hold' USING ERRCODE = '22003'",
    "an error of no known class": "RAISE 'internal' USING ERRCODE = 'XX000'",
    "never ends": "PERFORM pg_sleep(3600)",
    "kills its backend": "COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'",
}


@pytest.mark.parametrize("what", WHAT.values(), ids=WHAT.keys())
def test_poison(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
    plan: Plan,
    what: str,
) -> None:
    wanted = plan.pick(smoke=1, usual=2, all_=10)
    with load(HOST, port, recorder, seed=seed, clients=2, pause_s=0.2), _trap(system, what):
        for _ in range(wanted):
            _send_poison(port, recorder, chance)
        wait_for(system, "dead letters", lambda: _count_dead(system) >= wanted, within_s=300)
        stored_beside = _stores_go_on(system)
    verdict = judge(f"{wanted} events among {50 * wanted}, each in a request with good ones")

    assert verdict.ok, verdict
    assert (verdict.dead, stored_beside) == (wanted, True)
    _forget_the_dead(system)


def test_poison_that_kills_its_worker(
    system: System,
    recorder: Recorder,
    judge: Judge,
    port: int,
    seed: int,
    chance: random.Random,
) -> None:
    kills = 0
    with (
        system.changed(store_timeout_s=60.0),
        load(HOST, port, recorder, seed=seed, clients=2, pause_s=0.2),
        _trap(system, WHAT["never ends"]),
    ):
        _send_poison(port, recorder, chance)
        deadline = time.monotonic() + 240
        while not _count_dead(system):
            assert time.monotonic() < deadline, f"no dead letter after {kills} kills"
            kills += _kill_who_is_caught(system)
            system.revive()
            time.sleep(0.05)
    verdict = judge("one event, on which each worker process died that stored it", kills=kills)

    assert verdict.ok, verdict
    assert verdict.dead == 1
    _forget_the_dead(system)


@contextlib.contextmanager
def _trap(system: System, what: str) -> Iterator[None]:
    """Make the database do something when the bad product's event is inserted."""
    with system.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF NEW.product_id = '{BAD}' THEN {what}; END IF; RETURN NEW; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE TRIGGER trap BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION spring()"
            )
        )
    try:
        yield
    finally:
        wait_for(system, "end of the trap", lambda: _remove_trap(system))


def _remove_trap(system: System) -> bool:
    with system.engine.begin() as connection:
        connection.execute(text("DROP FUNCTION IF EXISTS spring CASCADE"))
    return True


def _send_poison(port: int, recorder: Recorder, chance: random.Random) -> None:
    """Send a bad event among good ones until it is accepted."""
    now_ms = int(time.time() * 1000)
    events = make_events(chance, 50, now_ms=now_ms)
    events[25] = {"event_type": "product_view", "event_id": uuid7(now_ms), "product_id": BAD}
    ids = [event["event_id"] for event in events]
    for attempt in range(1, 100):
        answer = post(HOST, port, events)
        recorder.note(ids, attempt, answer)
        if answer == 201:
            return
    raise AssertionError("never accepted")


def _count_dead(system: System) -> int:
    with contextlib.suppress(DBAPIError):
        return int(look(system, "SELECT count(*) FROM dead_letters")[0][0])
    return 0


def _stores_go_on(system: System) -> bool:
    """Tell whether others are stored while the trap is still there."""
    before = look(system, "SELECT count(*) FROM events")[0][0]
    wait_for(
        system,
        "other events",
        lambda: look(system, "SELECT count(*) FROM events")[0][0] > before,
    )
    return True


def _kill_who_is_caught(system: System) -> int:
    """Kill the worker process that waits for the trapped statement, and end the statement."""
    caught = look(
        system,
        "SELECT pid FROM pg_stat_activity "
        "WHERE application_name = 'millrace worker' AND wait_event = 'PgSleep'",
    )
    if not caught:
        return 0
    held = {pid for pid, batches in system.holders().items() if batches}
    killed = 0
    for process in system.tree("worker")[1:]:
        if process.pid in held:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                killed += 1
    for (pid,) in caught:
        look(system, "SELECT pg_terminate_backend(:pid, 5000)", pid=pid)
    return killed


def _forget_the_dead(system: System) -> None:
    with system.engine.begin() as connection:
        connection.execute(text("DELETE FROM dead_letters"))
