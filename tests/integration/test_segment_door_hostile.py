"""The Segment doors on hostile input: never an error of ours, and good messages always arrive."""

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
from tests.integration.test_segment_door import check_accepted, message, stored
from tests.strategies import event_texts

DEEP = 50_000
GOOD = [orjson.dumps(message(messageId=f"good {n}")) for n in range(3)]


def post_texts(client: FlaskClient, texts: list[bytes], path: str = "/v1/batch") -> Any:
    return client.post(path, data=b'{"batch":[' + b",".join(texts) + b"]}")


def with_value(name: str, value: bytes) -> bytes:
    """Write a message that is good but for one of its fields."""
    fields = {**message(messageId="bad"), "properties": {}, "context": {}, "x": "VALUE"}
    fields.pop(name, None)
    return orjson.dumps(fields).replace(b'"x":"VALUE"', b'"%b":%b' % (name.encode(), value))


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"null", id="null"),
        pytest.param(b'"track"', id="text"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"17", id="number"),
        pytest.param(b"{}", id="empty"),
        pytest.param(b'{"type":{"a":1},"userId":"u"}', id="type"),
        pytest.param(with_value("event", b"5"), id="number as name"),
        pytest.param(with_value("event", b'"' + b"x" * 101 + b'"'), id="long name"),
        pytest.param(with_value("event", rb'"a\u0000b"'), id="NUL"),
        pytest.param(with_value("event", rb'"\ud800"'), id="half an emoji"),
        pytest.param(with_value("userId", b'{"$oid":"x"}'), id="object as id"),
        pytest.param(with_value("userId", b"true"), id="true as id"),
        pytest.param(with_value("userId", b'"' + b"x" * 201 + b'"'), id="long id"),
        pytest.param(with_value("userId", b'""'), id="nobody"),
        pytest.param(with_value("messageId", b"[1]"), id="list as message id"),
        pytest.param(with_value("messageId", b'"' + b"x" * 3000 + b'"'), id="long message id"),
        pytest.param(with_value("timestamp", b'"yesterday"'), id="no time"),
        pytest.param(with_value("timestamp", b'{"a":1}'), id="object as time"),
        pytest.param(with_value("timestamp", b'"9999-12-31T23:59:59-23:59"'), id="9999"),
        pytest.param(with_value("timestamp", b"1e308"), id="after all time"),
        pytest.param(with_value("timestamp", b"true"), id="true as time"),
        pytest.param(with_value("properties", b'"x"'), id="text as properties"),
        pytest.param(with_value("properties", b'{"a":NaN}'), id="NaN"),
        pytest.param(with_value("properties", b'{"revenue":1e400}'), id="1e400"),
        pytest.param(with_value("properties", rb'{"\ud800":1}'), id="half a name"),
        pytest.param(
            with_value("properties", b'{"a":' * DEEP + b"1" + b"}" * DEEP), id="50,000 deep"
        ),
        pytest.param(
            with_value(
                "properties", orjson.dumps({"products": [{"sku": str(n)} for n in range(201)]})
            ),
            id="201 products",
        ),
        pytest.param(with_value("context", b'"x"'), id="text as context"),
        pytest.param(with_value("context", rb'{"userAgent":"\ud800"}'), id="half an agent"),
        pytest.param(with_value("context", b'{"a":' * 40 + b"1" + b"}" * 40), id="40 deep"),
    ],
)
def test_a_bad_message_does_not_hurt_its_neighbours(
    client: FlaskClient, drainer: Drainer, session: Session, bad: bytes
) -> None:
    check_accepted(post_texts(client, [GOOD[0], bad, GOOD[1], bad, GOOD[2]]))

    events = stored(drainer, session)
    assert [event.message_id for event in events] == ["good 0", "good 1", "good 2"]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(with_value("userId", b"9" * 400), id="400 digits"),
        pytest.param(with_value("properties", b'{"revenue":' + b"9" * 400 + b"}"), id="much money"),
        pytest.param(
            with_value("properties", b'{"products":[{"sku":1,"price":1e14,"quantity":1e9}]}'),
            id="more than the bounds",
        ),
        pytest.param(with_value("properties", b'{"product_id":{"a":[]},"order_id":[1]}'), id="ids"),
        pytest.param(with_value("properties", b'{"products":[null,1,[],{},"p"]}'), id="products"),
        pytest.param(with_value("context", b'{"library":[],"os":1,"device":"x"}'), id="context"),
        pytest.param(with_value("context", b'{"ip":{"a":1},"userAgent":[1]}'), id="address"),
        pytest.param(with_value("context", b'{"ip":"not one","sessionId":"s"}'), id="no address"),
        pytest.param(with_value("sentAt", b"true"), id="true as sent"),
        pytest.param(with_value("integrations", b'["all",NaN]'), id="integrations"),
        pytest.param(with_value("writeKey", b'""'), id="no key"),
    ],
)
def test_an_odd_message_is_no_error_of_ours(
    client: FlaskClient, drainer: Drainer, session: Session, odd: bytes
) -> None:
    check_accepted(post_texts(client, [GOOD[0], odd]))
    check_accepted(client.post("/v1/track", data=odd))

    assert "good 0" in [event.message_id for event in stored(drainer, session)]


@pytest.mark.parametrize("agent", [rb'"\ud800"', rb'"a\u0000b"'])
def test_the_agent_of_a_bad_message_is_not_that_of_its_batch(
    client: FlaskClient, drainer: Drainer, session: Session, agent: bytes
) -> None:
    bad = with_value("context", b'{"userAgent":' + agent + b"}")

    check_accepted(post_texts(client, [bad]))
    check_accepted(post_texts(client, [bad, GOOD[0].replace(b'"user', b'"context":{},"user')]))

    (event,) = stored(drainer, session)
    assert event.user_agent is None


@pytest.mark.parametrize("sent_at", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
def test_a_request_that_was_sent_after_all_time_is_taken(
    client: FlaskClient, drainer: Drainer, session: Session, sent_at: str
) -> None:
    native = {"events": [{"event_type": "product_view"}], "sent_at": sent_at}

    check_accepted(post_texts(client, [orjson.dumps(message(messageId="1", sentAt=sent_at))]))
    assert client.post("/mr/in", json=native).status_code == 201

    assert [event.sent_at for event in stored(drainer, session)] == [None, None]


def test_ten_thousand_messages_come_in_one_request(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    texts = [orjson.dumps(message(messageId=str(n))) for n in range(10_000)]

    check_accepted(post_texts(client, texts))
    over = post_texts(client, [*texts, texts[0]])

    assert over.status_code == 413
    drainer.drain()
    assert count_events(session) == 10_000


Batches = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=12)


def _write(good: bool, number: int, *, with_id: bool = True) -> bytes:
    fields = message(properties={"n": number}, type="track" if good else "unknown")
    if with_id:
        fields["messageId"] = str(number)
    return orjson.dumps(fields)


@settings(max_examples=40)
@given(
    batch=Batches,
    splits=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    with_id=st.booleans(),
)
def test_the_good_messages_are_stored_once_however_they_are_sent(
    client: FlaskClient,
    drainer: Drainer,
    engine: Engine,
    batch: list[tuple[bool, int]],
    splits: list[int],
    with_id: bool,
) -> None:
    empty(engine)
    texts = [_write(good, number, with_id=with_id) for good, number in batch]

    for size in splits:
        for start in range(0, len(texts), size):
            check_accepted(post_texts(client, texts[start : start + size]))
    drainer.drain()

    with Session(engine) as session:
        assert count_events(session) == len({number for good, number in batch if good})


_fields = st.sampled_from(
    ["type", "event", "userId", "anonymousId", "messageId", "timestamp", "properties", "context"]
)


@settings(max_examples=60)
@given(
    texts=st.lists(event_texts, max_size=4),
    name=_fields,
    path=st.sampled_from(["batch", "page", "t", "alias"]),
)
def test_whatever_comes_is_answered_and_what_is_taken_is_stored(
    client: FlaskClient,
    drainer: Drainer,
    redis_client: redis.Redis,
    texts: list[str],
    name: str,
    path: str,
) -> None:
    odd = [
        *(text.encode() for text in texts),
        *(with_value(name, text.encode()) for text in texts),
    ]

    answers = [post_texts(client, [GOOD[0], *odd])]
    answers += [client.post(f"/v1/{path}", data=text) for text in odd]

    assert {answer.status_code for answer in answers} <= {200, 400}
    assert answers[0].status_code == 200
    assert drainer.drain().dead == 0
