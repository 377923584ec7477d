"""Whatever the door accepts, PostgreSQL stores: no event becomes a dead letter by its content."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from intake.request import encode_batch, read_request
from tests.builders import NOW_MS, SENDER, WIDE_RULES, store
from tests.strategies import event_texts

# Few days, so that the property does not spend its time on partitions.
RULES = replace(WIDE_RULES, retention_days=10)


def store_texts(engine: Engine, texts: list[str]) -> tuple[int, int]:
    """Send events through the door's checks into the database; give accepted and stored."""
    body = '{"events":[' + ",".join(texts) + "]}"
    reading = read_request(body.encode(), sender=SENDER, rules=RULES)
    if not reading.rows:
        return 0, 0
    result = store(engine, encode_batch(reading.rows, sender=SENDER))
    assert result.dead == 0
    return len(reading.rows), result.stored + result.duplicate + result.conflicting


@given(texts=st.lists(event_texts, min_size=1, max_size=12))
def test_every_accepted_event_is_stored(engine: Engine, texts: list[str]) -> None:
    accepted, stored = store_texts(engine, texts)

    assert accepted == stored


@pytest.mark.parametrize(
    "payload",
    [
        '{"n":1e-20000}',
        '{"n":1e-9999999999}',
        '{"n":0e9999999999}',
        '{"n":[0.0E+99999999999]}',
        '{"n":0.' + "0" * 20_000 + "1}",
        '{"n":' + "9" * 300 + "}",
        '{"text":"1e-9999999999 re-used 0e5"}',
        r'{"text":"a\\u0000b"}',
        r'{"text":"\ud83d\ude00 \uffff"}',
        '{"a":1,"a":2}',
        '{"deep":' + "[" * 30 + "]" * 30 + "}",
    ],
)
def test_odd_properties_are_stored(engine: Engine, payload: str) -> None:
    assert store_texts(engine, ['{"event_type":"a","properties":' + payload + "}"]) == (1, 1)


@pytest.mark.parametrize(
    "event",
    [
        '{"event_type":"purchase","properties":{"quantity":true,"price":5}}',
        '{"event_type":"purchase","items":[{"product_id":"p","value":1e15,"quantity":2147483647}]}',
        '{"event_type":"purchase","product_id":"p","value":-1e15,"quantity":2147483647}',
        '{"event_type":"rate","product_id":"p","value":1e-300}',
        '{"event_type":"a","items":[{"product_id":"","x":{"quantity":"many"}}]}',
        '{"event_type":"' + "😀" * 100 + '","user_id":"' + "😀" * 200 + '"}',
        '{"event_type":"a","product_id":9223372036854775807}',
    ],
)
def test_odd_fields_are_stored(engine: Engine, event: str) -> None:
    assert store_texts(engine, [event]) == (1, 1)


def test_an_event_of_the_first_day_of_1970_does_not_stop_the_store(engine: Engine) -> None:
    rules = replace(WIDE_RULES, retention_days=36_500)
    body = b'{"event_type":"a","message_id":"m","occurred_at":"1970-01-01T00:00:00.001Z"}'
    reading = read_request(body, sender=SENDER, rules=rules)

    result = store(engine, encode_batch(reading.rows, sender=SENDER))

    assert result.stored == 1
    assert rules.oldest_ms(NOW_MS) < 0
