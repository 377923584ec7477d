"""What becomes of an event's fields: its type, its people, its id and what a value means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_ids import id_ms
from event_lines import as_json
from intake.request import encode_batch
from intake.rows import Row
from tests.builders import DAY_MS, NOW_MS, RULES, SENDER, read, uuid7_at


def row_of(sender: Any = SENDER, **fields: Any) -> Row:
    reading = read({"event_type": "product_view", **fields}, sender=sender)
    return reading.rows[0]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("product_view", ("product_view", "product", "view")),
        ("view_item", ("product_view", "product", "view")),
        ("Order Completed", ("purchase", "order", "purchase")),
        ("ADD-TO-CART", ("add_to_cart", "cart", "add")),
        ("video_play", ("video_play", "video", "play")),
        ("Custom Thing", ("Custom Thing", "Custom Thing", "other")),
    ],
)
def test_a_type_has_one_name_whatever_the_client_calls_it(
    sent: str, stored: tuple[str, str, str]
) -> None:
    row = row_of(event_type=sent)

    assert (row.event_type, row.event_category, row.event_action) == stored


def test_category_and_action_may_be_given() -> None:
    row = row_of(event_category="shop", event_action="look")

    assert (row.event_category, row.event_action) == ("shop", "look")


def test_unknown_fields_are_kept_among_the_properties() -> None:
    row = row_of(colour="red", properties={"size": 4})

    assert row.properties == {"colour": "red", "size": 4}


def test_the_senders_user_comes_before_the_events_and_its_anonymous_id_after() -> None:
    sender = replace(SENDER, user_id="from the token", anonymous_id="from the header")

    row = row_of(sender, user_id="claimed", anonymous_id="own")
    other = row_of(sender)

    assert (row.user_id, row.anonymous_id) == ("from the token", "own")
    assert other.anonymous_id == "from the header"


def test_empty_texts_mean_nothing_and_numbers_become_text() -> None:
    row = row_of(user_id="", product_id=0, items=[{"product_id": ""}, {"product_id": 7}])

    assert (row.user_id, row.product_id) == (None, "0")
    assert [item["product_id"] for item in row.items] == [None, "7"]


@pytest.mark.parametrize(
    ("event", "value", "quantity"),
    [
        ({"event_type": "purchase", "properties": {"revenue": 19.5}}, 19.5, None),
        ({"event_type": "purchase", "properties": {"total": 3, "quantity": 2}}, 3.0, 2),
        ({"event_type": "purchase", "properties": {"price": 1.1, "quantity": 3}}, 3.3, 3),
        ({"event_type": "refund", "properties": {"amount": 5}}, 5.0, None),
        ({"event_type": "rate", "properties": {"stars": 4}}, 4.0, None),
        ({"event_type": "rate", "properties": {"price": 4}}, None, None),
        ({"event_type": "purchase", "value": 1, "properties": {"revenue": 9}}, 1.0, None),
        ({"event_type": "purchase", "properties": {"revenue": "9"}}, None, None),
        ({"event_type": "purchase", "properties": {"revenue": True, "quantity": True}}, None, None),
        ({"event_type": "purchase", "properties": {"price": 2, "quantity": 0}}, 0.0, 0),
        ({"event_type": "product_view", "properties": {"value": 9}}, None, None),
    ],
)
def test_the_value_is_looked_for_where_older_clients_put_it(
    event: dict[str, Any], value: float | None, quantity: int | None
) -> None:
    row = row_of(**event)

    assert (row.value, row.quantity) == (value, quantity)


def test_a_clients_uuid7_is_kept() -> None:
    event_id = uuid7_at(NOW_MS - 1000)

    assert row_of(event_id=event_id.upper()).event_id == event_id
    assert row_of(event_id=event_id, occurred_at=NOW_MS - DAY_MS).event_id == event_id


def test_a_message_id_beside_an_event_id_is_kept() -> None:
    event_id = uuid7_at(NOW_MS - 1000)

    assert row_of(event_id=event_id, message_id="order 7").message_id == "order 7"
    assert row_of(message_id=event_id).message_id is None


def test_a_uuid7_far_from_its_events_time_is_made_anew() -> None:
    event_id = uuid7_at(NOW_MS)
    occurred_ms = NOW_MS - DAY_MS - 1

    made = row_of(event_id=event_id, occurred_at=occurred_ms)

    assert made.event_id != event_id
    assert (id_ms(made.event_id), made.message_id) == (occurred_ms, event_id)


def test_another_id_becomes_a_uuid8_with_the_events_own_time() -> None:
    row = row_of(message_id="ajs-next-1", occurred_at=NOW_MS - 5000)

    assert row.event_id[14] == "8"
    assert (id_ms(row.event_id), row.message_id) == (NOW_MS - 5000, "ajs-next-1")


@given(
    st.text(min_size=1, max_size=40).filter(lambda t: "\0" not in t), st.integers(0, 30 * DAY_MS)
)
def test_a_retry_gets_the_same_id_at_whatever_time_it_comes(client_id: str, later_ms: int) -> None:
    fields = {"message_id": client_id, "occurred_at": NOW_MS - DAY_MS}

    first = row_of(**fields)
    again = row_of(replace(SENDER, received_ms=NOW_MS + later_ms), **fields)

    assert first.event_id == again.event_id


def test_ids_of_two_keys_differ() -> None:
    first = row_of(replace(SENDER, key_id="one"), message_id="m")
    other = row_of(replace(SENDER, key_id="two"), message_id="m")

    assert first.event_id != other.event_id


def test_an_id_without_a_time_has_zero_time_bits() -> None:
    assert id_ms(row_of(message_id="m").event_id) == 0


def test_an_idempotency_key_names_each_event_by_its_place() -> None:
    sender = replace(SENDER, idempotency_key="order-17")
    events = [{"event_type": "a"}, {"event_type": "a"}]

    first = [row.event_id for row in read(*events, sender=sender).rows]
    again = [row.event_id for row in read(*events, sender=sender).rows]

    assert first == again
    assert len(set(first)) == 2


def test_events_without_any_id_get_fresh_ones() -> None:
    assert row_of().event_id != row_of().event_id
    assert row_of().event_id[14] == "7"


def test_a_batch_says_what_its_events_share_once() -> None:
    sender = replace(SENDER, key_id="k1", ip_address="10.0.0.0", user_agent="curl")
    reading = read({"event_type": "a"}, {"event_type": "b"}, sender=sender, rules=RULES)

    body = orjson.loads(as_json(encode_batch(reading.rows, sender=sender)))

    assert body["received_at"] == "2026-03-15T12:00:00.000Z"
    assert (body["key_id"], body["ip_address"], body["user_agent"]) == ("k1", "10.0.0.0", "curl")
    assert [event["event_type"] for event in body["events"]] == ["a", "b"]
