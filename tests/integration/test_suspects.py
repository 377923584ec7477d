"""Batches that are taken again and again: one that kills is found, and stops nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

import inbox
from models.database import make_engine, transaction
from models.dead_letters import DeadLetter
from models.events import Event
from settings import Settings
from tasks.ingest import Drainer
from tasks.suspects import COMPANY, MOST_DELIVERIES, MOST_TRIES
from tests.builders import NOW_MS, TODAY, count_events, crafted, uuid7_at

ROOT = Path(__file__).resolve().parents[2]
#: So many drains find the worst of a batch of several: together, in a company, alone, one by one,
#: and its burial.
DRAINS = MOST_DELIVERIES + 2 + MOST_TRIES + 1


def row(number: int, product_id: str = "p") -> dict[str, str]:
    return {"event_id": uuid7_at(NOW_MS, number), "product_id": product_id}


def put(client: redis.Redis, *rows: dict[str, str]) -> None:
    inbox.put(client, crafted(*rows), events=len(rows), days=[TODAY])


@contextmanager
def trap(engine: Engine, what: str) -> Iterator[None]:
    """Make the database do something when an event of the product `bad` is inserted."""
    with transaction(engine) as session:
        session.execute(
            text(
                "CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"IF NEW.product_id = 'bad' THEN {what}; END IF; RETURN NEW; END $$"
            )
        )
        session.execute(
            text(
                "CREATE TRIGGER trap BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION spring()"
            )
        )
    try:
        yield
    finally:
        with transaction(engine) as session:
            session.execute(text("DROP TRIGGER trap ON events"))
            session.execute(text("DROP FUNCTION spring"))


def letters(session: Session) -> list[tuple[str, str]]:
    return [(item.reason, item.detail) for item in session.scalars(select(DeadLetter))]


@pytest.mark.parametrize(
    "what",
    [
        "PERFORM pg_sleep(60)",
        "RAISE 'no class that is known' USING ERRCODE = 'XX000'",
        "PERFORM pg_terminate_backend(pg_backend_pid())",
    ],
    ids=["never ends", "an unknown error", "ends the connection"],
)
def test_an_event_that_fails_its_statement_again_and_again_becomes_a_dead_letter(
    drainer: Drainer, redis_client: redis.Redis, session: Session, what: str
) -> None:
    put(redis_client, row(1), row(2, "bad"), row(3))
    impatient = replace(drainer, within_s=0.2)
    stored_beside = 0
    with trap(drainer.engine, what):
        for number in range(DRAINS):
            put(redis_client, row(10 + number))
            impatient.drain()
            stored_beside += 1
    beside = session.scalars(
        select(Event.event_id).where(Event.event_id >= uuid7_at(NOW_MS, 10))
    ).all()

    assert letters(session) == [
        ("unstorable", f"tried {MOST_TRIES} times, and never came to an end")
    ]
    assert len(beside) == stored_beside
    assert count_events(session) == stored_beside + 2
    assert inbox.read_depth(redis_client).batches == 0
    assert list(redis_client.scan_iter("millrace:tries:*")) == []


def test_many_that_were_taken_by_workers_that_died_are_stored_in_companies(
    drainer: Drainer, redis_client: redis.Redis, session: Session
) -> None:
    for number in range(2 * COMPANY + 1):
        put(redis_client, row(2 * number), row(2 * number + 1))
    inbox.ensure_group(redis_client)
    for _ in range(MOST_DELIVERIES + 1):
        inbox.reclaim(redis_client, "dead", idle_s=0.0, count=1000)
        inbox.take(redis_client, "dead", count=1000)

    replace(drainer, reclaim_s=0.0).drain()
    transactions = session.scalar(text("SELECT count(DISTINCT CAST(xmin AS text)) FROM events"))

    assert count_events(session) == 2 * (2 * COMPANY + 1)
    assert transactions == 3
    assert list(redis_client.scan_iter("millrace:tries:*")) == []


_DRAIN = """
import sys
import inbox
from models.database import make_engine
from tasks.ingest import Drainer

database, server, consumer = sys.argv[1:]
engine = make_engine(database, application="dies")
Drainer(engine=engine, client=inbox.connect(server), consumer=consumer, reclaim_s=0.0).drain()
"""


def test_an_event_that_kills_its_worker_again_and_again_becomes_a_dead_letter(
    drainer: Drainer,
    redis_client: redis.Redis,
    engine: Engine,
    session: Session,
    settings: Settings,
) -> None:
    put(redis_client, row(1), row(2, "bad"), row(3))
    put(redis_client, row(4))
    kills = 0
    with trap(engine, "PERFORM pg_sleep(60)"):
        for number in range(DRAINS):
            arguments = [settings.sqlalchemy_url, settings.redis_url, f"w{number}"]
            worker = subprocess.Popen(
                [sys.executable, "-c", _DRAIN, *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            if falls_asleep(engine, worker):
                worker.send_signal(signal.SIGKILL)
                kills += 1
            worker.wait()
            end_the_statement(engine)

    assert kills == DRAINS - 1
    assert [reason for reason, _ in letters(session)] == ["unstorable"]
    assert count_events(session) == 3
    assert inbox.read_depth(redis_client).batches == 0


def falls_asleep(engine: Engine, worker: subprocess.Popen[bytes]) -> bool:
    """Wait until the worker's statement does not come to an end, or the worker does."""
    asleep = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'millrace dies' "
        "AND wait_event = 'PgSleep'), pg_sleep(0.02)"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watching:
        while worker.poll() is None:
            if watching.execute(text(asleep)).one()[0]:
                return True
    return False


def end_the_statement(engine: Engine) -> None:
    """The server would notice the worker's death when the statement ends."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as ending:
        ending.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'millrace dies'"
            )
        )


def test_a_database_that_is_away_makes_no_suspects(
    drainer: Drainer, redis_client: redis.Redis, session: Session
) -> None:
    away = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/nowhere", application="tests")
    put(redis_client, row(1), row(2))
    for _ in range(2 * DRAINS):
        with pytest.raises(OperationalError):
            replace(drainer, engine=away).drain()

    taken = inbox.take_own(redis_client, drainer.consumer, count=1)
    deliveries = inbox.read_deliveries(redis_client, drainer.consumer, taken)

    assert list(deliveries.values()) == [1]
    assert drainer.drain().stored == 2
    assert letters(session) == []


def test_a_lock_that_somebody_holds_is_no_event_s_fault(
    drainer: Drainer, redis_client: redis.Redis, settings: Settings, session: Session
) -> None:
    put(redis_client, row(1))
    other = make_engine(settings.sqlalchemy_url, application="locks")
    impatient = replace(drainer, within_s=0.1)
    with other.begin() as locking:
        locking.execute(text("LOCK TABLE product_metrics IN ACCESS EXCLUSIVE MODE"))
        for _ in range(2 * DRAINS):
            with pytest.raises(OperationalError):
                impatient.drain()
    other.dispose()

    assert drainer.drain().stored == 1
    assert letters(session) == []


def test_suspects_that_are_innocent_are_stored_with_what_they_carry(
    drainer: Drainer, redis_client: redis.Redis, session: Session
) -> None:
    for number in range(3):
        put(redis_client, row(10 * number), row(10 * number + 1))
    for consumer in ("a", "b", "c", "d"):
        inbox.reclaim(redis_client, consumer, idle_s=0, count=10)
        inbox.take(redis_client, consumer, count=10)

    result = drainer.drain()

    assert (result.stored, result.dead) == (6, 0)
    assert inbox.read_depth(redis_client).batches == 0


def test_an_idle_batch_behind_many_that_are_held_is_taken_over(
    redis_client: redis.Redis,
) -> None:
    for number in range(30):
        put(redis_client, row(number))
    held = inbox.take(redis_client, "busy", count=30)
    ids = [held[-1].entry_id]
    redis_client.xclaim(inbox.STREAM, inbox.GROUP, "dead", 0, ids, idle=3_600_000)

    found = inbox.reclaim(redis_client, "heir", idle_s=60, count=1)

    assert [batch.entry_id for batch in found] == ids
