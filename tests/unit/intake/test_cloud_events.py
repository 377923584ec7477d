"""CloudEvents become events of the contract."""

from __future__ import annotations

from typing import Any

import pytest

from intake.dialects.cloudevents import name_type, translate
from intake.rows import Rejected
from tests.builders import NOW_MS, uuid7_at

TIME = "2026-03-15T11:00:00Z"


def cloud_event(**fields: Any) -> dict[str, Any]:
    """Make a CloudEvent with the attributes it must have, and a time."""
    return {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "com.shop.product_viewed",
        "time": TIME,
        **fields,
    }


def test_attributes_and_data_find_their_fields() -> None:
    found = translate(
        cloud_event(
            subject="cart-7",
            userid="u1",
            sessionid="s1",
            traceparent="00-1",
            dataschema="https://shop.example/schema",
            data={"product_id": "p1", "quantity": 2, "colour": "red", "duration_ms": 40},
        )
    )

    assert found == {
        "event_type": "product_view",
        "message_id": "/shop 1",
        "occurred_at": TIME,
        "source": "/shop",
        "entity_id": "cart-7",
        "user_id": "u1",
        "session_id": "s1",
        "product_id": "p1",
        "quantity": 2,
        "duration_ms": 40,
        "properties": {"colour": "red"},
        "context": {
            "cloudevent": {
                "type": "com.shop.product_viewed",
                "traceparent": "00-1",
                "dataschema": "https://shop.example/schema",
            }
        },
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("product_view", "product_view"),
        ("Order Completed", "Order Completed"),
        ("com.shop.product_viewed", "product_view"),
        ("com.shop.Product.Viewed.v2", "product_view"),
        ("com.shop.order-completed", "purchase"),
        ("com.shop.purchase", "purchase"),
        ("com.shop.user.view", "com.shop.user.view"),
        ("com.github.pull_request.opened", "com.github.pull_request.opened"),
    ],
)
def test_a_type_is_known_by_its_end(kind: str, name: str) -> None:
    assert name_type(kind) == name


def test_the_attribute_says_more_than_the_data() -> None:
    found = translate(cloud_event(userid="u1", data={"user_id": "u2", "anonymousId": 5}))

    assert (found["user_id"], found["anonymous_id"]) == ("u1", "5")


@pytest.mark.parametrize("data", ["text", 17, [1, 2], True])
def test_data_of_another_sort_is_a_property(data: Any) -> None:
    assert translate(cloud_event(data=data))["properties"] == {"data": data}


def test_bytes_stay_as_they_were_sent() -> None:
    assert translate(cloud_event(data_base64="AAE="))["properties"] == {"data_base64": "AAE="}


def test_fields_in_the_data_that_do_not_fit_stay_there() -> None:
    data = {"user_id": ["u"], "product_id": 1.5, "value": "much", "items": 3, "entity_type": {}}

    found = translate(cloud_event(data=data))

    assert found["properties"] == data


def test_the_same_id_of_another_source_is_another_event() -> None:
    names = {translate(cloud_event(source=source))["message_id"] for source in ("/a", "/b")}

    assert len(names) == 2


def test_a_long_name_is_as_telling_as_a_short_one() -> None:
    names = [translate(cloud_event(id="x" * 300 + end))["message_id"] for end in "aab"]

    assert names[0] == names[1] != names[2]
    assert len(names[0]) <= 200


def test_an_id_with_a_time_in_it_tells_when_no_time_is_given() -> None:
    found = translate(cloud_event(id=uuid7_at(NOW_MS), time=None))

    assert found["occurred_at"] == NOW_MS


def test_an_order_names_its_money_once() -> None:
    data = {"value": 20, "total": 30, "product_id": "p1"}

    found = translate(cloud_event(type="com.shop.purchase", data=data))

    assert (found["value"], found["product_id"]) == (20, "p1")
    assert found["properties"] == {"total": 30}


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        cloud_event(id=""),
        cloud_event(id=5),
        cloud_event(source=None),
        cloud_event(type={}),
        cloud_event(specversion="0.3"),
    ],
    ids=["null", "list", "empty", "no id", "number", "no source", "type", "version"],
)
def test_what_is_no_cloud_event_is_refused(message: Any) -> None:
    with pytest.raises(Rejected):
        translate(message)
