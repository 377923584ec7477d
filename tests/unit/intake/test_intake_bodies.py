"""Bodies that are no events: a clear error, or a verdict on one event, never an exception."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.envelope import BodyError
from intake.request import encode_batch, read_request
from tests.builders import RULES, SENDER, WIDE_RULES


def reason_of(body: bytes) -> str:
    with pytest.raises(BodyError) as caught:
        read_request(body, sender=SENDER, rules=WIDE_RULES)
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b" ", "not_json"),
        (b"not json", "not_json"),
        (b'{"event_type":"a"', "not_json"),
        (b'{"event_type":"a"} more', "not_an_event"),
        (b'{"event_type":"a","value":NaN}', "not_json"),
        (b'{"events":[{"event_type":"a"}', "not_json"),
        (b'\xef\xbb\xbf{"event_type":"a"}', "not_json"),
        ('{"event_type":"a"}'.encode("utf-16"), "not_utf8"),
        ('{"event_type":"ä"}'.encode("latin-1"), "not_utf8"),
        (b"[" * 100_000, "not_an_event"),
        (b'{"events":[' + b"[" * 600_000 + b"]" * 600_000 + b"]}", "not_json"),
        (b"[]", "not_an_event"),
        (b'[{"event_type":"a"}]', "not_an_event"),
        (b"null", "not_an_event"),
        (b"5", "not_an_event"),
        (b'"event"', "not_an_event"),
        (b'{"events":{}}', "not_a_list"),
        (b'{"events":null}', "not_a_list"),
        (b'{"events":[]}', "empty"),
    ],
)
def test_a_body_that_holds_no_events_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    assert reason_of(body) == reason


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(BodyError):
        assert read_request(body, sender=SENDER, rules=WIDE_RULES).results


@pytest.mark.parametrize(
    "event",
    [
        b'{"event_type":"a","properties":' + b'{"a":' * 500 + b"1" + b"}" * 501,
        b'{"event_type":"a","x":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"timestamp":'
        + b"[" * 900
        + b"]" * 900
        + b',"occurred_at":'
        + b"[" * 900
        + b"]" * 900
        + b"}",
        b'{"event_type":"a","user_id":' + b"1" * 5000 + b"}",
        b'{"event_type":"a","value":' + b"1" * 5000 + b"}",
        b'{"event_type":"a","properties":{"n":' + b"1" * 5000 + b"}}",
        b'{"event_type":"a","user_id":"' + b"x" * 1_000_000 + b'"}',
        b"{}",
        b'{"event_type":""}',
        b'{"event_type":null}',
        b'{"event_type":7}',
        b'{"event_type":"a","properties":[]}',
        b'{"event_type":"a","items":[5]}',
        b'{"event_type":"a","items":[{"product_id":"p","quantity":-1}]}',
        rb'{"event_type":"a\u0000"}',
        rb'{"event_type":"a","user_id":"\ud800"}',
        rb'{"event_type":"a","properties":{"text":"cut \ud83d"}}',
        b'{"event_type":"a","value":NaN}',
        b'{"event_type":"a","properties":{"n":-Infinity}}',
        b'{"event_type":"a","event_id":"ffffffff-ffff-7fff-bfff-ffffffffffff"}',
    ],
)
def test_a_hostile_event_is_rejected_and_its_neighbours_are_taken(event: bytes) -> None:
    good = b'{"event_type":"product_view"}'
    body = b'{"events":[' + good + b"," + event + b"," + good + b"]}"

    reading = read_request(body, sender=SENDER, rules=WIDE_RULES)

    assert [result["status"] for result in reading.results] == ["ok", "rejected", "ok"]
    assert orjson.dumps(reading.results)


def test_a_long_text_in_the_properties_is_kept() -> None:
    body = b'{"event_type":"a","properties":{"text":"' + b"x" * 1_000_000 + b'"}}'

    reading = read_request(body, sender=SENDER, rules=WIDE_RULES)

    assert len(encode_batch(reading.rows, sender=SENDER)) > 1_000_000


def test_an_event_over_the_limit_is_rejected_by_its_size() -> None:
    body = b'{"event_type":"a","properties":{"text":"' + b"x" * 2048 + b'"}}'

    (result,) = read_request(body, sender=SENDER, rules=RULES).results

    assert result["reason"] == "too_large"
    assert "2048" in result["detail"]


def test_more_events_than_allowed_are_refused_together() -> None:
    body = orjson.dumps({"events": [{"event_type": "a"}] * 3})

    with pytest.raises(BodyError, match="2 events, got 3"):
        read_request(body, sender=SENDER, rules=replace(RULES, max_batch_events=2))


def test_strict_types_reject_names_outside_of_the_catalogue() -> None:
    body = orjson.dumps({"events": [{"event_type": "made_up"}, {"event_type": "view"}]})

    reading = read_request(body, sender=SENDER, rules=replace(RULES, strict_types=True))

    assert [result.get("reason") for result in reading.results] == ["unknown_type", None]
    assert reading.rows[0].event_type == "product_view"


def test_a_fault_in_one_event_leaves_the_size_of_another_alone() -> None:
    long = {"event_type": "a", "properties": {"text": "ж" * 900}}
    body = b'{"events":[{"event_type":NaN},' + orjson.dumps(long) + b"]}"

    reading = read_request(body, sender=SENDER, rules=RULES)

    assert [result["status"] for result in reading.results] == ["rejected", "ok"]
