"""Two at once: what one has not committed yet must not mislead the other, nor stop a third."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
import redis
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from models.database import engine_options, transaction
from models.invariants import Invariant, check_invariants
from models.job_runs import lock_job
from models.partitions import STORE_IDLE, drop_partition, lock_for_removal
from models.person import Person
from models.removal import remove_events
from settings import Settings
from tasks.aggregate import aggregate_dirty
from tasks.retention import purge
from tasks.store import StoreResult
from tests.builders import DAY_MS, NOW, NOW_MS, crafted, store, store_events, uuid7_at
from tests.integration.test_erase import NOTHING, erase_person, held


def view(number: int, days_ago: int = 0) -> dict[str, Any]:
    return {
        "event_type": "product_view",
        "product_id": f"p{number % 2}",
        "user_id": "u1",
        "message_id": f"m{number}",
        "occurred_at": NOW_MS - days_ago * DAY_MS,
    }


def until_one_waits(engine: Engine, *others: Future[Any]) -> None:
    """Come back when somebody waits for a lock, or when the others are through."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watching:
        while not all(other.done() for other in others):
            waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted), pg_sleep(0.01)"
            if watching.execute(text(waiting)).one()[0]:
                return


def test_an_erasure_is_not_done_when_another_removal_took_its_chunk(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    store_events(engine, *(view(n) for n in range(7)))
    under_way, go_on = threading.Event(), threading.Event()

    def tell(kind: str, amount: int) -> None:
        under_way.set()
        go_on.wait(30)

    with ThreadPoolExecutor(1) as pool:
        erased = pool.submit(
            erase_person, engine, redis_client, settings, Person("u1"), chunk=2, tell=tell
        )
        under_way.wait(30)
        with transaction(engine) as session:
            lock_for_removal(session)
            removed = remove_events(session, "user_id = 'u1'", {}, zone="UTC", limit=2)
            go_on.set()
            until_one_waits(engine, erased)
        counts = erased.result().counts or {}

    assert (removed, counts["events"]) == (2, 5)
    assert held(engine, redis_client, Person("u1")) == NOTHING


def test_workers_that_store_apart_do_not_wait_for_each_other_in_a_circle(engine: Engine) -> None:
    products = [f"p{n}" for n in range(16)]

    def work(number: int) -> StoreResult:
        order = products if number % 2 else products[::-1]
        rows = [
            {"event_id": uuid7_at(NOW_MS + place, number), "product_id": product_id}
            for place, product_id in enumerate(order)
        ]
        return store(engine, crafted(*rows[:3], {**rows[3], "value": "much"}, *rows[4:]))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(32)))

    assert {(result.stored, result.dead) for result in results} == {(15, 1)}


def test_a_purge_that_waits_for_an_aggregation_lets_events_be_stored(
    engine: Engine, settings: Settings
) -> None:
    store_events(engine, view(1, days_ago=40))
    options = engine_options("hasty")
    options["connect_args"]["options"] += " -c lock_timeout=1s"
    hasty = create_engine(settings.sqlalchemy_url, **options)

    with ThreadPoolExecutor(1) as pool:
        with transaction(engine) as aggregating:
            lock_job(aggregating, "aggregate")
            purged = pool.submit(purge, engine, days=30, zone="UTC", now=NOW)
            until_one_waits(engine, purged)
            stored = store_events(hasty, view(2))

        assert (stored.stored, purged.result().events) == (1, 1)
    hasty.dispose()


def test_the_server_ends_a_purge_that_is_frozen_while_stores_wait_for_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_events(engine, view(1, days_ago=40))
    limits: list[str | None] = []

    def drop(session: Session, day: date) -> None:
        limits.append(session.scalar(text("SHOW idle_in_transaction_session_timeout")))

    monkeypatch.setattr("tasks.retention.drop_partition", drop)
    purge(engine, days=30, zone="UTC", now=NOW)

    assert set(limits) == {STORE_IDLE}


def test_a_purge_that_commits_while_the_check_waits_for_it_is_no_drift(
    engine: Engine, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_events(engine, view(1, days_ago=40), view(2))
    aggregate_dirty(engine, zone="UTC", now=NOW)
    checks: list[Future[list[Invariant]]] = []

    with ThreadPoolExecutor(1) as pool:

        def drop_and_check(session: Session, day: date) -> None:
            drop_partition(session, day)
            checks.append(pool.submit(check_invariants, engine, redis_client, zone="UTC"))
            until_one_waits(engine, *checks)

        monkeypatch.setattr("tasks.retention.drop_partition", drop_and_check)
        purge(engine, days=30, zone="UTC", now=NOW)

    assert [item for item in checks[0].result() if not item.ok] == []
