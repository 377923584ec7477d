"""PostHog's and CloudEvents' doors on hostile input: good events always arrive, once."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from tasks.ingest import Drainer
from tests.builders import count_events, empty
from tests.integration.test_cloudevents_door import BATCH, IN_HEADERS, PATH
from tests.integration.test_posthog_door import V1, check_accepted, event, stored
from tests.strategies import event_texts
from tests.unit.intake.test_cloud_events import cloud_event

DEEP = 100_000
GOOD = [orjson.dumps(event(number)) for number in range(3)]
GOOD_CLOUD = [orjson.dumps(cloud_event(id=str(number))) for number in range(3)]


def post_events(client: FlaskClient, texts: list[bytes]) -> Any:
    return client.post("/batch/", data=b'{"batch":[' + b",".join(texts) + b"]}")


def post_cloud_events(client: FlaskClient, texts: list[bytes]) -> Any:
    return client.post(PATH, data=b"[" + b",".join(texts) + b"]", content_type=BATCH)


def with_value(message: dict[str, Any], name: str, value: bytes) -> bytes:
    """Write a message that is good but for one of its fields."""
    fields = {**message, name: "VALUE"}
    return orjson.dumps(fields).replace(b'"VALUE"', value)


def bad_event(name: str, value: bytes) -> bytes:
    return with_value(event(9), name, value)


def bad_cloud_event(name: str, value: bytes) -> bytes:
    return with_value(cloud_event(id="9"), name, value)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"null", id="null"),
        pytest.param(b'"event"', id="text"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"{}", id="empty"),
        pytest.param(bad_event("event", b"5"), id="number as name"),
        pytest.param(bad_event("event", b'{"a":1}'), id="object as name"),
        pytest.param(bad_event("event", b'"' + b"x" * 101 + b'"'), id="long name"),
        pytest.param(bad_event("event", rb'"a\u0000b"'), id="NUL"),
        pytest.param(bad_event("event", rb'"\ud800"'), id="half an emoji"),
        pytest.param(bad_event("distinct_id", b"null"), id="nobody"),
        pytest.param(bad_event("distinct_id", b"[NaN]"), id="NaN as id"),
        pytest.param(bad_event("distinct_id", rb'"\ud800"'), id="half an id"),
        pytest.param(bad_event("distinct_id", b"[" * DEEP + b"]" * DEEP), id="deep id"),
        pytest.param(bad_event("uuid", b"[1]"), id="list as uuid"),
        pytest.param(bad_event("uuid", b'"' + b"x" * 3000 + b'"'), id="long uuid"),
        pytest.param(bad_event("timestamp", b'"yesterday"'), id="no time"),
        pytest.param(bad_event("timestamp", b'{"a":1}'), id="object as time"),
        pytest.param(bad_event("timestamp", b'"9999-12-31T23:59:59-23:59"'), id="9999"),
        pytest.param(bad_event("timestamp", b"1e308"), id="after all time"),
        pytest.param(bad_event("properties", b'"x"'), id="text as properties"),
        pytest.param(bad_event("properties", b'{"a":NaN}'), id="NaN"),
        pytest.param(bad_event("properties", b'{"a":1e400}'), id="1e400"),
        pytest.param(
            bad_event("properties", b'{"a":' * DEEP + b"1" + b"}" * DEEP), id="100,000 deep"
        ),
        pytest.param(bad_event("$set", b'{"a":' * 40 + b"1" + b"}" * 40), id="40 deep"),
        pytest.param(bad_event("properties", b'{"a":"' + b"x" * 40_000 + b'"}'), id="40,000 bytes"),
    ],
)
def test_a_bad_event_does_not_hurt_its_neighbours(
    client: FlaskClient, drainer: Drainer, session: Session, bad: bytes
) -> None:
    check_accepted(post_events(client, [GOOD[0], bad, GOOD[1], bad, GOOD[2]]))

    assert [each.message_id for each in stored(drainer, session)] == [
        "event 0",
        "event 1",
        "event 2",
    ]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"17", id="number"),
        pytest.param(bad_cloud_event("id", b"5"), id="number as id"),
        pytest.param(bad_cloud_event("source", rb'"\ud800"'), id="half a source"),
        pytest.param(bad_cloud_event("type", b'"' + b"x" * 101 + b'"'), id="long type"),
        pytest.param(bad_cloud_event("type", rb'"a\u0000b"'), id="NUL"),
        pytest.param(bad_cloud_event("time", b"true"), id="true as time"),
        pytest.param(bad_cloud_event("userid", b"[1]"), id="object as extension"),
        pytest.param(bad_cloud_event("data", b"NaN"), id="NaN"),
        pytest.param(bad_cloud_event("data", b'{"product_id":"a","x":-Infinity}'), id="infinity"),
        pytest.param(bad_cloud_event("data", b"[" * DEEP + b"]" * DEEP), id="100,000 deep"),
        pytest.param(bad_cloud_event("traceparent", b"[" * 40 + b"]" * 40), id="40 deep"),
    ],
)
def test_a_bad_cloud_event_does_not_hurt_its_neighbours(
    client: FlaskClient, drainer: Drainer, session: Session, bad: bytes
) -> None:
    answer = post_cloud_events(client, [GOOD_CLOUD[0], bad, GOOD_CLOUD[1], bad, GOOD_CLOUD[2]])

    assert answer.status_code == 202
    assert [each.message_id for each in stored(drainer, session)] == [
        "/shop 0",
        "/shop 1",
        "/shop 2",
    ]


def test_ten_thousand_events_come_in_one_request(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    texts = [orjson.dumps(event(number)) for number in range(10_000)]

    check_accepted(post_events(client, texts))
    over = post_events(client, [*texts, texts[0]])

    assert over.status_code == 413
    drainer.drain()
    assert count_events(session) == 10_000


Batches = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=12)


@settings(max_examples=40)
@given(batch=Batches, splits=st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_the_good_events_are_stored_once_however_they_are_sent(
    client: FlaskClient,
    drainer: Drainer,
    engine: Engine,
    batch: list[tuple[bool, int]],
    splits: list[int],
) -> None:
    empty(engine)
    events = [event(number) if good else event(number, event=None) for good, number in batch]
    clouds = [cloud_event(id=str(number) if good else "") for good, number in batch]

    for size in splits:
        for start in range(0, len(batch), size):
            check_accepted(client.post("/e/", json=events[start : start + size]))
            client.post(PATH, json=clouds[start : start + size])
    drainer.drain()

    with Session(engine) as session:
        assert count_events(session) == 2 * len({number for good, number in batch if good})


_fields = st.sampled_from(
    [
        "event",
        "distinct_id",
        "uuid",
        "timestamp",
        "offset",
        "properties",
        "$set",
        "token",
        "sent_at",
        "session_id",
        "options",
    ]
)
_attributes = st.sampled_from(
    ["specversion", "id", "source", "type", "time", "subject", "data", "data_base64", "userid"]
)


@settings(max_examples=30)
@given(texts=st.lists(event_texts, max_size=3), field=_fields, attribute=_attributes)
def test_whatever_comes_is_answered_and_what_is_taken_is_stored(
    client: FlaskClient,
    drainer: Drainer,
    redis_client: redis.Redis,
    write_key: str,
    texts: list[str],
    field: str,
    attribute: str,
) -> None:
    odd = [text.encode() for text in texts]
    events = [*odd, *(bad_event(field, text) for text in odd)]
    clouds = [*odd, *(bad_cloud_event(attribute, text) for text in odd)]
    bearer = {"Authorization": f"Bearer {write_key}"}

    answers = [
        *(client.post("/e/", data=text) for text in events),
        *(client.post("/engage/", data=text) for text in events),
        *(client.post(V1, data=b'{"batch":[' + text + b"]}", headers=bearer) for text in events),
        *(client.post(PATH, data=text) for text in clouds),
        *(client.post(PATH, data=text, headers=IN_HEADERS) for text in odd),
    ]

    assert {answer.status_code for answer in answers} <= {200, 202, 204, 400, 401, 413}
    assert drainer.drain().dead == 0
