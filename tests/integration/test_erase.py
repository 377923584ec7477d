"""Erasing a person: nothing is left behind, whatever happens meanwhile, and figures still agree."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import orjson
import pytest
import redis
from flask import Flask
from sqlalchemy import Engine, delete, select

import inbox
from event_lines import as_json
from ml.layout import SCHEMA, SPARSE
from models.database import transaction
from models.dead_letters import DeadLetter
from models.erasures import Erasure, is_genuine, request_erasure
from models.events import Event
from models.holdings import count_held, stream_held
from models.identities import IdentityLink
from models.invariants import check_invariants
from models.job_runs import lock_job
from models.person import Person
from models.product_metrics import ProductMetrics
from models.suppressions import OPT_OUT, Salts, Suppression, suppress
from settings import Settings
from tasks.aggregate import aggregate_dirty
from tasks.erase import erase
from tasks.ingest import Drainer
from tasks.store import store_bodies
from tests.builders import (
    DAY_MS,
    NOW,
    NOW_MS,
    TODAY,
    body,
    body_of,
    crafted,
    days_in,
    store_events,
    uuid7_at,
)

NOTHING = {"events": 0, "identities": 0, "dead_letters": 0, "inbox": 0}


def view(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "product_view",
        "product_id": f"p{number % 5}",
        "message_id": f"m{number}",
        "occurred_at": NOW_MS - number % 4 * DAY_MS,
        **fields,
    }


def login(user_id: str, anonymous_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "login",
        "user_id": user_id,
        "anonymous_id": anonymous_id,
        "occurred_at": NOW_MS,
        **fields,
    }


def refusable(number: int, user_id: str, *, value: Any = "much") -> dict[str, Any]:
    """Make a row that the database refuses for its value."""
    return {"event_id": uuid7_at(NOW_MS, number), "user_id": user_id, "value": value}


def put(client: redis.Redis, body: bytes) -> None:
    inbox.put(client, body, events=as_json(body).count(b'"event_id"'), days=sorted(days_in([body])))


def erase_person(
    engine: Engine, client: redis.Redis, settings: Settings, person: Person, **kwargs: Any
) -> Erasure:
    """Request an erasure and carry it out."""
    salts = Salts.of(settings.secret_key)
    with transaction(engine) as session:
        requested = request_erasure(session, salts, person, now=NOW)
    assert carry_out(engine, client, settings, requested.erasure_id, **kwargs)
    with transaction(engine) as session:
        return session.get_one(Erasure, requested.erasure_id)


def carry_out(
    engine: Engine, client: redis.Redis, settings: Settings, erasure_id: UUID, **kwargs: Any
) -> bool:
    return erase(
        engine,
        client,
        erasure_id,
        secret_key=settings.secret_key,
        zone="UTC",
        clock=lambda: NOW,
        **kwargs,
    )


def drainer_of(engine: Engine, client: redis.Redis, settings: Settings, name: str) -> Drainer:
    return Drainer(
        engine=engine,
        client=client,
        consumer=name,
        reclaim_s=0.0,
        secret_key=settings.secret_key,
    )


def held(engine: Engine, client: redis.Redis, person: Person) -> dict[str, int]:
    with transaction(engine) as session:
        return count_held(session, client, person)


def all_agrees(engine: Engine, client: redis.Redis, settings: Settings) -> None:
    aggregate_dirty(engine, zone="UTC", now=NOW)
    found = check_invariants(engine, client, zone="UTC", secret_key=settings.secret_key)
    assert [item for item in found if not item.ok] == []


def test_everything_of_a_person_goes_and_everything_of_others_stays(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    mine = [view(n, user_id="u1") for n in range(8)]
    before_login = [view(n, anonymous_id="a1") for n in range(8, 12)]
    shared = [view(20, anonymous_id="a1", user_id="u2"), view(21, anonymous_id="a2")]
    store_events(engine, *mine, *before_login, *shared, login("u1", "a1"))
    store_bodies(
        engine,
        [crafted(refusable(1, "u1"), refusable(2, "u2"))],
        {TODAY},
        known_days=set(),
        zone="UTC",
    )
    put(redis_client, body_of(view(30, user_id="u1"), view(31, user_id="u2")))
    put(redis_client, body_of(view(32, anonymous_id="a1")))
    aggregate_dirty(engine, zone="UTC", now=NOW)

    done = erase_person(engine, redis_client, settings, Person("u1"))

    assert done.counts == {"events": 13, "identities": 1, "dead_letters": 1, "inbox": 2}
    assert held(engine, redis_client, Person("u1", ("a1",))) == NOTHING
    with transaction(engine) as session:
        left = session.scalars(select(Event.message_id).order_by(Event.message_id)).all()
        letters = session.scalars(select(DeadLetter.event)).all()
    assert left == ["m20", "m21"]
    assert len(letters) == 1
    assert "u2" in letters[0]
    assert inbox.read_depth(redis_client).batches == 1
    drainer_of(engine, redis_client, settings, "w").drain()
    all_agrees(engine, redis_client, settings)
    assert held(engine, redis_client, Person("u2"))["events"] == 2


def test_the_receipt_is_signed_and_names_nobody(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    store_events(engine, view(1, user_id="u1"))

    done = erase_person(engine, redis_client, settings, Person("u1"))

    assert (done.status, done.subject, done.finished_at) == ("done", None, NOW)
    assert done.digests == [Salts.of(settings.secret_key).digest_user("u1")]
    assert is_genuine(done, settings.secret_key)
    assert not is_genuine(done, "another key")
    done.counts = {**(done.counts or {}), "events": 0}
    assert not is_genuine(done, settings.secret_key)


def test_nothing_of_an_erased_person_is_stored_again(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    store_events(engine, login("u1", "a1"))
    erase_person(engine, redis_client, settings, Person("u1"))
    worker = drainer_of(engine, redis_client, settings, "w")

    put(
        redis_client,
        body_of(
            view(1, user_id="u1"),
            view(2, anonymous_id="a1"),
            view(3, user_id="u2", anonymous_id="a1"),
            login("u1", "a9"),
        ),
    )
    # An event that the database refuses, beside another of the person.
    put(redis_client, crafted(refusable(1, "u1"), refusable(2, "u1", value=1), refusable(3, "u2")))
    result = worker.drain()

    assert (result.stored, result.refused, result.dead) == (1, 5, 1)
    assert inbox.read_totals(redis_client)["refused"] == 5
    assert held(engine, redis_client, Person("u1", ("a1", "a9"))) == NOTHING
    all_agrees(engine, redis_client, settings)


def test_a_worker_without_the_secret_key_stores_nothing_while_people_are_suppressed(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    with transaction(engine) as session:
        salts = Salts.of(settings.secret_key)
        suppress(session, salts, salts.digests("u1", []), reason=OPT_OUT)

    with pytest.raises(RuntimeError, match="SECRET_KEY"):
        store_events(engine, view(1, user_id="u2"))

    assert held(engine, redis_client, Person("u2")) == NOTHING


def test_erasing_twice_or_somebody_unknown_gives_a_receipt_of_zeros(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    store_events(engine, view(1, user_id="u1"))
    first = erase_person(engine, redis_client, settings, Person("u1"))

    second = erase_person(engine, redis_client, settings, Person("u1"))
    unknown = erase_person(engine, redis_client, settings, Person("nobody", ("nowhere",)))

    assert first.counts == {**NOTHING, "events": 1}
    assert (second.counts, unknown.counts) == (NOTHING, NOTHING)
    assert all(is_genuine(item, settings.secret_key) for item in (first, second, unknown))
    assert carry_out(engine, redis_client, settings, first.erasure_id)


def test_a_link_that_was_made_after_the_request_is_part_of_the_erasure(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    salts = Salts.of(settings.secret_key)
    store_events(engine, view(1, anonymous_id="late"))
    with transaction(engine) as session:
        requested = request_erasure(session, salts, Person("u1"), now=NOW)
        # As a store would that had begun before.
        session.add(IdentityLink(anonymous_id="late", user_id="u1"))

    carry_out(engine, redis_client, settings, requested.erasure_id)

    assert held(engine, redis_client, Person("u1", ("late",))) == NOTHING
    with transaction(engine) as session:
        digests = session.get_one(Erasure, requested.erasure_id).digests
    assert salts.digest_anonymous("late") in digests


def test_an_anonymous_id_is_erased_without_the_user_behind_it(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    store_events(engine, view(1, anonymous_id="a1"), view(2, user_id="u1"), login("u1", "a1"))

    done = erase_person(engine, redis_client, settings, Person(None, ("a1",)))

    assert done.counts == {**NOTHING, "events": 1, "identities": 1}
    assert held(engine, redis_client, Person("u1"))["events"] == 2
    all_agrees(engine, redis_client, settings)


def test_a_person_with_many_events_goes_in_chunks(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    events = [view(n, user_id="u1") for n in range(25_000)]
    store_bodies(
        engine,
        [body_of(*events[start : start + 1000]) for start in range(0, 25_000, 1000)],
        {(TODAY.replace(day=TODAY.day - n)) for n in range(5)},
        known_days=set(),
        zone="UTC",
    )
    store_events(engine, view(30_000, user_id="u2"))
    chunks: list[int] = []

    def tell(kind: str, amount: int) -> None:
        if kind == "events":
            chunks.append(amount)

    done = erase_person(engine, redis_client, settings, Person("u1"), tell=tell)

    assert (done.counts or {})["events"] == 25_000
    assert chunks == [10_000, 10_000, 5000]
    all_agrees(engine, redis_client, settings)
    with transaction(engine) as session:
        views = session.scalars(
            select(ProductMetrics.total_views).order_by(ProductMetrics.product_id)
        )
        assert sum(views) == 1


@pytest.mark.parametrize("number", range(8))
def test_erasing_while_events_come_in_leaves_nothing_behind(
    app: Flask, engine: Engine, redis_client: redis.Redis, settings: Settings, number: int
) -> None:
    person = Person("u1", ("a1",))
    devices = tuple(f"a1-{n}" for n in range(3))
    enough = threading.Event()
    sent = [0, 0]

    def produce(lane: int) -> None:
        browser = app.test_client()
        while not enough.is_set() or sent[lane] < 5:
            name = f"{lane}-{sent[lane]}"
            device = devices[sent[lane] % 3]
            events = [
                view(lane, user_id="u1", message_id=f"{name}-1"),
                view(lane, anonymous_id="a1", message_id=f"{name}-2"),
                view(lane, user_id="u2", message_id=f"{name}-3"),
                view(lane, user_id="u2", anonymous_id="a1", message_id=f"{name}-4"),
                login("u1", device, message_id=f"{name}-5"),
            ]
            answer = browser.post("/api/v1/analytics/events/", json={"events": events})
            assert body(answer)["events_created"] in (2, 5)
            sent[lane] += 1

    def work(name: str) -> None:
        worker = drainer_of(engine, redis_client, settings, name)
        while not enough.is_set():
            worker.drain(limit_s=0.05)

    store_events(engine, *(view(n, user_id="u1", message_id=f"before-{n}") for n in range(50)))
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(produce, lane) for lane in range(2)]
        running += [pool.submit(work, f"w{n}") for n in range(2)]
        try:
            # The chance to be in the middle of something: a different one in each round.
            while sum(sent) < 5 * number:
                enough.wait(0.001)
            done = erase_person(engine, redis_client, settings, person, chunk=7)
        finally:
            enough.set()
        for item in running:
            item.result()
    drainer_of(engine, redis_client, settings, "last").drain()

    assert (done.counts or {})["events"] >= 50
    assert held(engine, redis_client, Person("u1", ("a1", *devices))) == NOTHING
    assert held(engine, redis_client, Person("u2"))["events"] == 2 * sum(sent)
    all_agrees(engine, redis_client, settings)


_CRASH = """
import os, signal, sys
from datetime import UTC, datetime
from uuid import UUID
import inbox
from models.database import make_engine
from tasks.erase import erase

database, server, key, erasure_id, kind = sys.argv[1:]

def tell(done, amount):
    if done == kind:
        os.kill(os.getpid(), signal.SIGKILL)

erase(
    make_engine(database, application="crash"), inbox.connect(server), UUID(erasure_id),
    secret_key=key, zone="UTC", clock=lambda: datetime.now(UTC), tell=tell, chunk=10,
)
"""


@pytest.mark.parametrize("kind", ["events", "identities", "dead_letters", "inbox"])
def test_an_erasure_that_was_killed_goes_on_where_it_was(
    engine: Engine, redis_client: redis.Redis, settings: Settings, kind: str
) -> None:
    store_events(engine, login("u1", "a1"), *(view(n, user_id="u1") for n in range(24)))
    store_events(engine, *(view(n, anonymous_id="a1") for n in range(30, 45)))
    store_bodies(engine, [crafted(refusable(1, "u1"))], {TODAY}, known_days=set(), zone="UTC")
    put(redis_client, body_of(view(100, user_id="u1"), view(101, user_id="u2")))
    with transaction(engine) as session:
        salts = Salts.of(settings.secret_key)
        requested = request_erasure(session, salts, Person("u1"), now=NOW)
    arguments = [
        settings.sqlalchemy_url,
        settings.redis_url,
        settings.secret_key,
        str(requested.erasure_id),
        kind,
    ]

    killed = subprocess.run([sys.executable, "-c", _CRASH, *arguments], check=False)
    assert killed.returncode == -9
    with transaction(engine) as session:
        # The server takes a moment to see that its client is dead.
        lock_job(session, f"erase:{requested.erasure_id}", wait=True)
    finished = carry_out(engine, redis_client, settings, requested.erasure_id)

    assert finished
    assert held(engine, redis_client, Person("u1", ("a1",))) == NOTHING
    with transaction(engine) as session:
        counts = session.get_one(Erasure, requested.erasure_id).counts
    assert counts == {"events": 40, "identities": 1, "dead_letters": 1, "inbox": 1}
    drainer_of(engine, redis_client, settings, "w").drain()
    all_agrees(engine, redis_client, settings)


def test_what_is_held_about_a_person_is_given_line_by_line(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    salts = Salts.of(settings.secret_key)
    store_events(engine, login("u1", "a1", message_id="l"), view(1, anonymous_id="a1"))
    store_events(engine, view(2, user_id="u2", anonymous_id="a1"))
    store_bodies(engine, [crafted(refusable(1, "u1"))], {TODAY}, known_days=set(), zone="UTC")
    put(redis_client, as_json(body_of(view(4, user_id="u1"))).replace(b",", b",\n"))
    with transaction(engine) as session:
        suppress(session, salts, salts.digests("u1", []), reason=OPT_OUT)
        person = Person("u1").with_linked(session)

    lines = list(stream_held(engine, redis_client, person, salts=salts))

    found = [orjson.loads(line) for line in lines]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert sorted(item["kind"] for item in found) == [
        "dead_letter", "event", "event", "identity", "suppression", "waiting",
    ]  # fmt: skip
    assert {item["message_id"] for item in found if item["kind"] == "event"} == {"l", "m1"}


def test_a_model_has_no_place_for_people() -> None:
    dimensions = {name for _, shape in SCHEMA.values() for name in shape}

    of_products = {"id_bytes", "products", "starts", "attribute_values", "factors"}
    assert {name for name in dimensions if not name.endswith("_entries")} == of_products
    of_tables = {*SPARSE, "features"}
    assert {name.removesuffix("_entries") for name in dimensions - of_products} == of_tables


def test_the_check_finds_what_an_erasure_would_have_left(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    erase_person(engine, redis_client, settings, Person("u1", ("a1",)))
    all_agrees(engine, redis_client, settings)
    with transaction(engine) as session:
        session.execute(delete(Suppression))
    store_events(engine, view(1, user_id="u1"), view(2, anonymous_id="a1"), view(3, user_id="u2"))

    found = check_invariants(engine, redis_client, zone="UTC", secret_key=settings.secret_key)

    assert [item.figure for item in found if item.id == "I11"] == [
        "1 erasures, 2 people of them found"
    ]
