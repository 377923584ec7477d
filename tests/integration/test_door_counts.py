"""What came in at each door: accepted and rejected by reason add up to what was received."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

import inbox
from door_counts import DOORS, DoorCounts, add_up, read_door_counts
from models.invariants import Invariant, check_invariants
from models.person import Person, Search
from tasks.ingest import Drainer
from tests.integration.test_quarantine import GOOD, NAMELESS, send

NATIVE = "/api/v1/analytics/events/"
VIEW = {"event_type": "product_view", "product_id": "p1"}
BAD = {"event_type": ""}


def i8(engine: Engine, client: redis.Redis) -> Invariant:
    (found,) = (item for item in check_invariants(engine, client, zone="UTC") if item.id == "I8")
    return found


def test_each_door_counts_what_it_received_accepted_and_rejected(
    client: FlaskClient, engine: Engine, drainer: Drainer, redis_client: redis.Redis
) -> None:
    old = {**VIEW, "occurred_at": "2020-01-01"}
    client.post(NATIVE, json={"events": [VIEW, BAD, VIEW, old]})
    client.post(NATIVE, json=VIEW)
    client.post(NATIVE, json={"events": [BAD, BAD]})
    client.post("/api/events/log/batch", json=[VIEW, BAD])
    send(client, GOOD, NAMELESS, {"type": "dance"})

    drainer.drain()

    assert read_door_counts(redis_client) == [
        DoorCounts("activity", 2, 1, {"invalid": 1}),
        DoorCounts("native", 7, 3, {"invalid": 3, "too_old": 1}),
        DoorCounts("segment", 3, 1, {"no_event_name": 1, "unknown_message": 1}),
    ]
    found = i8(engine, redis_client)
    assert (found.ok, found.figure) == (True, "12 received, 5 accepted; 3 doors agree")


def test_the_metrics_show_the_doors(client: FlaskClient, drainer: Drainer) -> None:
    send(client, GOOD, NAMELESS)
    drainer.drain()

    lines = client.get("/metrics").text.splitlines()

    assert 'millrace_door_events{door="segment",outcome="received"} 2.0' in lines
    assert 'millrace_door_events{door="segment",outcome="accepted"} 1.0' in lines
    assert 'millrace_door_rejected{door="segment",reason="no_event_name"} 1.0' in lines
    assert 'millrace_events{outcome="quarantined"} 1.0' in lines


def test_a_request_that_is_refused_as_a_whole_is_not_received(
    app_with: Callable[..., FlaskClient], redis_client: redis.Redis
) -> None:
    inbox.put(redis_client, b"x" * 1000, events=1, days=[])

    full = app_with(inbox_max_bytes=500).post(NATIVE, json={"events": [VIEW, BAD]})
    broken = app_with().post(NATIVE, data="{")

    assert (full.status_code, broken.status_code) == (503, 400)
    redis_client.delete(inbox.STREAM)
    assert read_door_counts(redis_client) == []


def test_a_batch_delivered_twice_is_counted_once(
    client: FlaskClient, drainer: Drainer, redis_client: redis.Redis
) -> None:
    client.post(NATIVE, json={"events": [VIEW, BAD]})
    inbox.take(redis_client, "dies", count=1)

    drainer.drain()
    drainer.drain()

    assert read_door_counts(redis_client) == [DoorCounts("native", 2, 1, {"invalid": 1})]


@pytest.mark.parametrize("others", [0, 1])
def test_a_batch_that_an_erasure_rewrites_keeps_its_counts(
    client: FlaskClient, drainer: Drainer, redis_client: redis.Redis, others: int
) -> None:
    mine = {**VIEW, "user_id": "u1"}
    client.post(NATIVE, json={"events": [mine, BAD, *[VIEW] * others]})
    (batch,) = inbox.scan(redis_client)
    found = Search(Person("u1")).part(batch.body)

    inbox.rewrite(redis_client, batch, found.rest, taken=len(found.events))
    drainer.drain()

    counted = DoorCounts("native", 2 + others, 1 + others, {"invalid": 1})
    assert read_door_counts(redis_client) == [counted]


def test_the_check_finds_a_door_that_lost_count(engine: Engine, redis_client: redis.Redis) -> None:
    redis_client.hset(DOORS, mapping={"segment received": 3, "segment rejected invalid": 2})

    found = i8(engine, redis_client)

    assert (found.ok, found.figure) == (False, "3 received, 0 accepted; wrong at segment")


def test_while_redis_is_away_a_rejection_is_answered_all_the_same(
    app_with: Callable[..., FlaskClient],
) -> None:
    answer = app_with(redis_url="redis://127.0.0.1:1/0").post(NATIVE, json=BAD)

    assert answer.status_code == 422


_counts = st.builds(
    DoorCounts,
    st.sampled_from(["native", "segment"]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.dictionaries(st.sampled_from(["invalid", "too_old", "no_actor"]), st.integers(1, 99)),
)


@given(st.lists(_counts, max_size=5))
def test_counts_survive_their_text_and_add_up(counts: list[DoorCounts]) -> None:
    texts = [item.as_text() for item in counts]

    total = add_up([*texts, ""])

    assert [DoorCounts.from_text(text) for text in texts] == counts
    assert sum(item.received for item in total) == sum(item.received for item in counts)
    assert sum(sum(item.rejected.values()) for item in total) == sum(
        sum(item.rejected.values()) for item in counts
    )
