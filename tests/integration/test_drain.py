"""The drain: at-least-once delivery, exactly-once effect, and nothing stuck behind a bad event."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

import inbox
from event_lines import as_json
from models.database import make_engine, transaction
from models.dead_letters import DeadLetter
from models.dirty_days import read_dirty_days
from models.events import Event
from models.partitions import read_partition_days
from models.product_metrics import COUNTERS, ProductMetrics
from tasks.ingest import Drainer, group_by_rows
from tasks.retention import purge
from tasks.store import StoreResult, store_bodies
from tests.builders import (
    DAY_MS,
    NOW,
    NOW_MS,
    TODAY,
    body_of,
    count_events,
    crafted,
    days_in,
    empty,
    store,
    store_events,
    uuid7_at,
)

View = dict[str, Any]


def view(number: int, **fields: Any) -> View:
    """Make an event with an id of its own."""
    return {
        "event_type": "product_view",
        "product_id": f"p{number % 3}",
        "message_id": f"m{number}",
        "occurred_at": NOW_MS - number * 3_600_000,
        **fields,
    }


_NEST = b"[" * 4000 + b"]" * 4000
#: Bodies that a reader gives up on, and not as one that is no JSON.
DEEP = [
    pytest.param(b'{"events":' + _NEST[:4000], id="deep and broken off"),
    pytest.param(b'{"events":' + _NEST + b"}", id="deep events"),
    pytest.param(b'{"events":[{"a":' + _NEST + b"}]}", id="deep in an event"),
    pytest.param(b'{"a":' + _NEST + b',"events":[]}', id="deep beside the events"),
    pytest.param(b'{"lines":' + _NEST + b"}", id="deep head"),
    pytest.param(b'{"lines":1,"a":' + _NEST + b',"received_at":"x"}\n[1]\n', id="deep in a head"),
    pytest.param(b'{"lines":1,"received_at":"x"}\n["a",' + _NEST + b"]\n", id="deep line"),
]


def put(client: redis.Redis, *bodies: bytes) -> None:
    for body in bodies:
        count = as_json(body).count(b'"event_id"')
        inbox.put(client, body, events=count, days=sorted(days_in([body])))


def put_raw(client: redis.Redis, body: bytes) -> None:
    """Put a body that cannot be read."""
    inbox.put(client, body, events=1, days=[TODAY])


def snapshot(engine: Engine) -> tuple[Any, ...]:
    """Give everything that storing changes: rows, counters and dirty days."""
    with transaction(engine) as session:
        ids = session.scalars(select(Event.event_id).order_by(Event.event_id)).all()
        metrics = session.scalars(select(ProductMetrics).order_by(ProductMetrics.product_id))
        counters = [
            (item.product_id, item.last_event_at, *(getattr(item, name) for name in COUNTERS))
            for item in metrics
        ]
        return ids, counters, read_dirty_days(session)


def letters(session: Session) -> list[DeadLetter]:
    return list(session.scalars(select(DeadLetter)))


@hypothesis_settings(max_examples=20)
@given(data=st.data())
def test_any_order_grouping_and_repetition_store_the_same(engine: Engine, data: Any) -> None:
    events = [view(n) for n in range(12)]
    empty(engine)
    store_events(engine, *events)
    expected = snapshot(engine)

    repeated = data.draw(st.lists(st.sampled_from(events), max_size=12))
    delivered = data.draw(st.permutations([*events, *repeated]))
    cuts = data.draw(st.lists(st.integers(0, len(delivered)), max_size=4).map(sorted))
    edges = [0, *cuts, len(delivered)]
    batches = [delivered[a:b] for a, b in pairwise(edges) if a < b]
    calls = data.draw(st.integers(1, len(batches)))
    empty(engine)
    for start in range(0, len(batches), calls):
        store(engine, *[body_of(*batch) for batch in batches[start : start + calls]])

    assert snapshot(engine) == expected


def test_concurrent_drains_count_each_event_once(engine: Engine, redis_client: redis.Redis) -> None:
    bodies = [body_of(*(view(n) for n in range(start, start + 30))) for start in range(0, 60, 5)]
    put(redis_client, *bodies, *bodies)
    drainers = [
        Drainer(engine=engine, client=redis_client, consumer=f"w{n}", reclaim_s=0.0, max_rows=40)
        for n in range(4)
    ]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(Drainer.drain, drainers))

    ids, counters, _ = snapshot(engine)
    assert sum(result.stored for result in results) == len(ids) == 85
    assert sum(views for _, _, _, views, *_ in counters) == 85
    assert inbox.read_depth(redis_client).batches == 0


POISON: dict[str, dict[str, Any]] = {
    "an id too long for the index": {
        "product_id": "".join(f"{n:x}" for n in range(4000)),
        "event_id": uuid7_at(NOW_MS, 91),
    },
    "a quantity beyond int": {"quantity": 2**31, "event_id": uuid7_at(NOW_MS, 92)},
    "a value beyond numeric": {"value": "1e200000", "event_id": uuid7_at(NOW_MS, 93)},
    "NUL in a text": {"user_id": "a\0b", "event_id": uuid7_at(NOW_MS, 94)},
    "NUL in the properties": {"properties": {"a": "\0"}, "event_id": uuid7_at(NOW_MS, 95)},
    "no time": {"occurred_at": "soon", "event_id": uuid7_at(NOW_MS, 96)},
    "no type": {"event_type": None, "event_id": uuid7_at(NOW_MS, 97)},
    "items that are no list": {"items": {"a": 1}, "event_id": uuid7_at(NOW_MS, 98)},
    "an item that is no object": {"items": [5], "event_id": uuid7_at(NOW_MS, 99)},
    "no id": {"event_id": None},
    "an id that is none": {"event_id": "order 5"},
}


@pytest.mark.parametrize("row", POISON.values(), ids=POISON.keys())
def test_what_the_database_refuses_becomes_a_dead_letter_alone(
    drainer: Drainer, redis_client: redis.Redis, session: Session, row: dict[str, Any]
) -> None:
    good = [{"event_id": uuid7_at(NOW_MS, n), "product_id": "p"} for n in range(5)]
    inbox.put(redis_client, crafted(*good[:2], row, *good[2:4]), events=5, days=[TODAY])
    inbox.put(redis_client, crafted(good[4]), events=1, days=[TODAY])

    result = drainer.drain()

    assert result == StoreResult(stored=5, dead=1)
    (letter,) = letters(session)
    assert letter.reason == "refused"
    assert letter.detail
    assert session.get_one(ProductMetrics, "p").total_views == 5
    assert inbox.read_depth(redis_client).batches == 0


@pytest.mark.parametrize(
    "body",
    [b"{broken", b"\xff\xfe", b'{"events":[{}]', b"[]", b"5", b'"\x00"', b'{"events":5}', *DEEP],
)
def test_a_batch_that_cannot_be_read_becomes_a_dead_letter(
    drainer: Drainer, redis_client: redis.Redis, session: Session, body: bytes
) -> None:
    put(redis_client, body_of(view(1)))
    put_raw(redis_client, body)
    put(redis_client, body_of(view(2)))

    result = drainer.drain()

    assert (result.stored, result.dead) == (2, 1)
    assert len(letters(session)) == 1
    assert inbox.read_depth(redis_client).batches == 0


def test_a_dead_letter_delivered_twice_is_kept_once(
    drainer: Drainer, redis_client: redis.Redis, session: Session
) -> None:
    poison = crafted({"event_id": uuid7_at(NOW_MS), "quantity": 2**31})
    put(redis_client, poison, poison)

    result = drainer.drain()

    assert (result.dead, result.duplicate) == (1, 1)
    assert len(letters(session)) == 1


def test_a_dead_letter_holds_what_is_needed_to_store_it_later(
    drainer: Drainer, redis_client: redis.Redis, session: Session, engine: Engine
) -> None:
    put(redis_client, crafted({"event_id": uuid7_at(NOW_MS), "quantity": 2**31}))
    drainer.drain()

    (letter,) = letters(session)
    mended = letter.event.replace(str(2**31), "1").encode()

    assert store(engine, mended).stored == 1


def test_another_content_under_the_same_id_is_counted_as_conflicting(
    engine: Engine, session: Session
) -> None:
    store_events(engine, view(1, properties={"a": 1}))
    same = store_events(engine, view(1, properties={"a": 1}))
    other = store_events(engine, view(1, properties={"a": 2}))

    assert (same.duplicate, same.conflicting) == (1, 0)
    assert (other.duplicate, other.conflicting) == (0, 1)
    assert session.scalars(select(Event.properties)).one() == {"a": 1}


def test_products_that_the_catalogue_does_not_know_get_metrics(
    engine: Engine, session: Session
) -> None:
    store_events(engine, view(1, product_id="unheard of"))

    assert session.get_one(ProductMetrics, "unheard of").total_views == 1


def test_partitions_are_made_on_demand(drainer: Drainer, redis_client: redis.Redis) -> None:
    put(redis_client, body_of(view(1, occurred_at="2025-11-11T11:11:11Z")))

    drainer.drain()

    with Session(drainer.engine) as session:
        assert date(2025, 11, 11) in read_partition_days(session)


def test_a_partition_dropped_behind_a_workers_back_is_made_again(engine: Engine) -> None:
    known_days: set[date] = set()
    body = body_of(view(1, occurred_at="2025-10-10T10:10:10Z"))
    days = days_in([body])
    store_bodies(engine, [body], days, known_days=known_days, zone="UTC")
    with transaction(engine) as session:
        session.execute(text("DROP TABLE events_20251010"))

    result = store_bodies(engine, [body], days, known_days=known_days, zone="UTC")

    assert (result.stored, result.dead) == (1, 0)


def test_a_dropped_partition_and_a_bad_event_at_once_cost_the_bad_event_only(
    engine: Engine,
) -> None:
    known_days = {date(2025, 10, 9)}
    late = {"event_id": uuid7_at(NOW_MS - 157 * DAY_MS), "occurred_at": "2025-10-09T12:00:00Z"}
    body = crafted({"event_id": uuid7_at(NOW_MS), "quantity": 2**31}, late)

    result = store_bodies(engine, [body], days_in([body]), known_days=known_days, zone="UTC")

    assert (result.stored, result.dead) == (1, 1)


def seal(engine: Engine) -> None:
    """Purge what is older than thirty days, which seals the days up to then."""
    store_events(engine, view(1, occurred_at=NOW_MS - 40 * DAY_MS))
    purge(engine, days=30, zone="UTC", now=NOW)


def test_an_event_of_a_sealed_day_becomes_a_dead_letter(engine: Engine, session: Session) -> None:
    seal(engine)

    result = store_events(engine, view(2, occurred_at=NOW_MS - 40 * DAY_MS), view(3))

    assert (result.stored, result.dead) == (1, 1)
    assert [letter.reason for letter in letters(session)] == ["sealed"]


def test_a_bad_event_in_the_batch_does_not_open_a_sealed_day(
    engine: Engine, session: Session
) -> None:
    seal(engine)
    late = {"event_id": uuid7_at(NOW_MS - 40 * DAY_MS), "occurred_at": "2026-02-03T12:00:00Z"}
    poison = {"event_id": uuid7_at(NOW_MS), "quantity": 2**31}

    result = store(engine, crafted(late, poison))

    assert (result.stored, result.dead) == (0, 2)
    assert {letter.reason for letter in letters(session)} == {"sealed", "refused"}


def test_while_the_database_is_away_batches_stay_and_are_stored_later(
    drainer: Drainer, redis_client: redis.Redis
) -> None:
    away = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/nowhere", application="tests")
    put(redis_client, body_of(view(1)))

    with pytest.raises(OperationalError):
        replace(drainer, engine=away).drain()
    held = inbox.read_depth(redis_client)
    result = drainer.drain()

    assert (held.batches, held.pending) == (1, 1)
    assert result.stored == 1
    assert inbox.read_depth(redis_client).batches == 0


def test_a_worker_that_dies_between_commit_and_acknowledgement_counts_once(
    drainer: Drainer, redis_client: redis.Redis, session: Session
) -> None:
    body = body_of(view(1), view(4))
    put(redis_client, body)
    (taken,) = inbox.take(redis_client, "dies", count=1)
    store(drainer.engine, taken.body)

    result = drainer.drain()

    assert (result.stored, result.duplicate) == (0, 2)
    assert session.get_one(ProductMetrics, "p1").total_views == 2
    assert inbox.read_depth(redis_client).batches == 0


def test_a_drain_stops_when_its_time_is_up(drainer: Drainer, redis_client: redis.Redis) -> None:
    put(redis_client, *[body_of(view(n)) for n in range(60)])

    first = drainer.drain(limit_s=0)
    rest = drainer.drain()

    assert (first.stored, rest.stored) == (50, 10)


def test_the_totals_add_up_over_drains(drainer: Drainer, redis_client: redis.Redis) -> None:
    put(redis_client, body_of(view(1)))
    drainer.drain()
    put(redis_client, body_of(view(1), view(2)))
    drainer.drain()

    assert inbox.read_totals(redis_client) == {"stored": 2, "duplicate": 1}


@given(
    sizes=st.lists(st.integers(0, 50), max_size=20),
    max_rows=st.integers(1, 60),
)
def test_groups_keep_the_order_and_the_limit(sizes: list[int], max_rows: int) -> None:
    batches = [inbox.Batch(str(n), size, (), b"") for n, size in enumerate(sizes)]

    groups = list(group_by_rows(batches, max_rows))

    assert [batch for group in groups for batch in group] == batches
    assert all(
        sum(batch.events for batch in group) <= max_rows or len(group) == 1 for group in groups
    )


def test_storing_nothing_changes_nothing(engine: Engine, session: Session) -> None:
    result = store_bodies(engine, [], set(), known_days=set(), zone="UTC")

    assert result == StoreResult()
    assert count_events(session) == 0
