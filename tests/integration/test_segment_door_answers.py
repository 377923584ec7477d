"""How the Segment and RudderStack doors answer: keys, refusals, and what is taken and not kept."""

from __future__ import annotations

import gzip
from typing import Any

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import inbox
from tasks.ingest import Drainer
from tests.integration.test_segment_door import (
    PAGE,
    AppWith,
    basic,
    check_accepted,
    check_refused,
    message,
    send,
    stored,
    write_key_with,
)


def test_what_the_sdk_tells_of_itself_is_not_kept(
    client: FlaskClient, redis_client: redis.Redis
) -> None:
    check_accepted(send(client, "/v1/m", {"series": [{"type": "Counter"}]}))

    assert inbox.read_depth(redis_client).batches == 0


def test_a_key_is_found_wherever_an_sdk_puts_it(
    app_with: AppWith, write_key: str, drainer: Drainer, session: Session
) -> None:
    client = app_with(require_key=True)
    one = message()

    check_accepted(send(client, "/v1/t", one, Authorization=basic(write_key)))
    check_accepted(send(client, f"/beacon/v1/batch?writeKey={write_key}", {"batch": [one]}))
    check_accepted(
        send(client, "/v1/t", {**one, "writeKey": write_key}, Authorization="Basic Og==")
    )
    check_accepted(send(client, "/v1/batch", {"batch": [one], "writeKey": write_key}))
    check_accepted(send(client, "/v1/b", {"batch": [{**one, "writeKey": write_key}]}))
    check_accepted(
        send(client, "/v1/batch", {"batch": [one], "writeKey": write_key}, Authorization="Bearer x")
    )
    check_accepted(send(client, "/v1/batch", {"batch": [one]}, Authorization=f"Bearer {write_key}"))

    # All seven are the same message of the same key.
    assert len(stored(drainer, session)) == 1


@pytest.mark.parametrize("key", ["wk_unknown", "\udfff", "\0", 5, True, ["x"], {"a": 1}])
def test_a_key_that_is_none_is_refused(client: FlaskClient, key: Any) -> None:
    text = orjson.dumps({**message(), "writeKey": "KEY"})
    data = text.replace(b'"KEY"', b'"\\udfff"' if key == "\udfff" else orjson.dumps(key))

    answer = client.post("/v1/track", data=data)

    check_refused(answer, 401, "invalid_key")


def test_a_key_is_asked_for_where_it_is_required(app_with: AppWith) -> None:
    check_refused(send(app_with(require_key=True), "/v1/t", message()), 401, "key_required")


def test_a_key_is_for_the_pages_of_its_origins(client: FlaskClient, engine: Engine) -> None:
    key = write_key_with(engine, allowed_origins=["https://shop.example"])

    good = send(client, "/v1/t", message(), **PAGE, Authorization=basic(key))
    bad = send(client, "/v1/t", message(), Origin="https://evil.example", Authorization=basic(key))

    check_accepted(good)
    check_refused(bad, 403, "origin_not_allowed")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"\x1f\x8b\x08broken", "bad_encoding"),
        (b"[]", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "no_batch"),
        (b'{"batch":null}', "no_batch"),
        (b'{"batch":{"0":{}}}', "no_batch"),
    ],
)
def test_what_is_no_batch_is_refused(client: FlaskClient, data: bytes, code: str) -> None:
    check_refused(client.post("/v1/batch", data=data), 400, code)


def test_an_unknown_encoding_is_refused_as_bad(client: FlaskClient) -> None:
    answer = client.post("/v1/batch", data=b"{}", headers={"Content-Encoding": "br"})

    check_refused(answer, 400, "unsupported_encoding")


def test_an_empty_batch_is_taken(client: FlaskClient, redis_client: redis.Redis) -> None:
    check_accepted(send(client, "/v1/batch", {"batch": []}))

    assert inbox.read_depth(redis_client).batches == 0


def test_a_body_above_the_cap_is_too_large_packed_or_not(app_with: AppWith) -> None:
    client = app_with(max_request_bytes=10_000)
    data = orjson.dumps({"batch": [message(properties={"a": "x" * 20_000})]})

    check_refused(client.post("/v1/batch", data=data), 413, "request_too_large")
    check_refused(client.post("/v1/batch", data=gzip.compress(data)), 413, "request_too_large")


def test_an_event_above_its_cap_is_left_out_and_the_rest_is_stored(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    large = message(messageId="large", properties={"a": "x" * 33_000})

    check_accepted(send(client, "/v1/batch", {"batch": [large, message(messageId="small")]}))

    assert [event.message_id for event in stored(drainer, session)] == ["small"]


def test_an_inbox_that_is_away_or_full_is_overload(
    app_with: AppWith, redis_client: redis.Redis
) -> None:
    inbox.put(redis_client, b"x" * 1000, events=1, days=[])

    away = send(app_with(redis_url="redis://127.0.0.1:1/0"), "/v1/t", message())
    full = send(app_with(inbox_max_bytes=500), "/v1/t", message())

    check_refused(away, 429, "inbox_unavailable")
    check_refused(full, 429, "inbox_full")
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in (away, full))


def test_a_key_that_has_sent_its_share_is_asked_to_wait(
    client: FlaskClient, engine: Engine
) -> None:
    key = write_key_with(engine, rate_limit=1)

    first = send(client, "/v1/t", message(messageId="1"), Authorization=basic(key))
    second = send(client, "/v1/t", message(messageId="2"), Authorization=basic(key))

    check_accepted(first)
    check_refused(second, 429, "rate_limited")
    assert int(second.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("changes", "headers"),
    [({"analytics_enabled": False}, {}), ({"respect_dnt": True}, {"DNT": "1"})],
)
def test_collection_that_is_off_is_a_success_and_keeps_nothing(
    app_with: AppWith, redis_client: redis.Redis, changes: Any, headers: Any
) -> None:
    client = app_with(**changes)

    check_accepted(send(client, "/v1/t", message(), **headers))
    check_accepted(send(client, "/v1/batch", {"batch": [message()]}, **headers))
    assert client.get("/pixel/v1/track?userId=u&event=e", headers=headers).mimetype == "image/gif"

    assert inbox.read_depth(redis_client).batches == 0
