"""Segment's e-commerce events find their products, orders and money."""

from __future__ import annotations

from typing import Any

import pytest

from intake.dialects.segment import translate
from intake.rows import resolve_type


def track(event: str, **properties: Any) -> dict[str, Any]:
    """Translate a track message with some properties."""
    return translate(
        {"type": "track", "event": event, "messageId": "m", "userId": "u", "properties": properties}
    )


@pytest.mark.parametrize(
    ("properties", "product_id", "left"),
    [
        ({"product_id": "p1", "sku": "s1"}, "p1", {"sku": "s1"}),
        ({"productId": 5}, "5", {}),
        ({"sku": "s1", "id": "i1"}, "s1", {"id": "i1"}),
        ({"id": "i1"}, "i1", {}),
        ({"product_id": {"a": 1}}, None, {"product_id": {"a": 1}}),
        ({"product_id": True}, None, {"product_id": True}),
        ({"product_id": "x" * 201}, None, {"product_id": "x" * 201}),
        ({"name": "Mug"}, None, {"name": "Mug"}),
    ],
)
def test_a_product_is_known_by_any_of_its_names(
    properties: dict[str, Any], product_id: str | None, left: dict[str, Any]
) -> None:
    event = track("Product Viewed", **properties)

    assert event.get("product_id") == product_id
    assert event["properties"] == left


def test_a_bare_id_is_a_products_only_in_events_about_products() -> None:
    assert "product_id" not in track("Ticket Closed", id="t1")
    assert track("Product Added", id="p1", quantity="2")["quantity"] == 2


def test_the_lines_of_an_order_have_their_own_money() -> None:
    event = track(
        "Order Completed",
        order_id="o1",
        revenue="30.5",
        total=36,
        currency="EUR",
        products=[
            {"product_id": "p1", "quantity": 2, "price": 10, "name": "Mug"},
            {"sku": "p2", "quantity": "3", "price": "3.5", "position": 7},
            {"product_id": "p3", "quantity": 1.5, "price": 4},
        ],
    )

    assert event["items"] == [
        {"product_id": "p1", "quantity": 2, "price": 10, "name": "Mug", "value": 20.0},
        {"product_id": "p2", "quantity": 3, "price": "3.5", "position": 7, "value": 10.5},
        {"product_id": "p3", "price": 4, "value": 6.0},
    ]
    assert event["value"] == 30.5
    assert (event["entity_type"], event["entity_id"]) == ("order", "o1")
    assert event["properties"] == {
        "order_id": "o1", "revenue": "30.5", "total": 36, "currency": "EUR"
    }  # fmt: skip


def test_an_order_of_one_line_without_a_price_gives_it_its_money() -> None:
    one = track("Order Completed", revenue=30, products=[{"product_id": "p1", "quantity": 2}])
    two = track("Order Completed", revenue=30, products=[{"product_id": "p1"}, {"sku": "p2"}])

    assert one["items"] == [{"product_id": "p1", "quantity": 2, "value": 30.0}]
    assert two["items"] == [{"product_id": "p1"}, {"product_id": "p2"}]


def test_an_order_of_one_product_without_a_list_has_its_money() -> None:
    event = track("Order Completed", product_id="p1", quantity=2, price="9.95")

    assert (event["product_id"], event["quantity"], event["value"]) == ("p1", 2, 19.9)


def test_a_refund_without_products_says_how_much() -> None:
    event = track("Order Refunded", order_id="o1", total=12)

    assert event["value"] == 12.0
    assert "items" not in event
    assert "product_id" not in event


def test_the_products_of_a_list_have_places() -> None:
    event = track(
        "Product List Viewed",
        list_id="summer",
        products=[{"product_id": "p1"}, {"product_id": "p2", "position": 9}, {"product_id": "p3"}],
    )

    assert [(item["product_id"], item["position"]) for item in event["items"]] == [
        ("p1", 1), ("p2", 9), ("p3", 3)
    ]  # fmt: skip
    assert (event["entity_type"], event["entity_id"]) == ("product_list", "summer")


def test_a_list_of_anything_else_is_left_as_it_is() -> None:
    mixed = track("Order Completed", products=[{"product_id": "p1"}, "p2", {"name": "p3"}])

    assert [item["product_id"] for item in mixed["items"]] == ["p1"]
    assert mixed["properties"]["products"] == [{"product_id": "p1"}, "p2", {"name": "p3"}]
    assert "items" not in track("Compared", products=["p1", "p2"])
    assert "items" not in track("Compared", products={"p1": 1})


@pytest.mark.parametrize(
    "amount",
    ["two", "", " ", True, None, [], {}, float("nan"), float("inf"), 1e16, "1e99", -(10**40)],
)
def test_amounts_that_are_none_are_left_out(amount: Any) -> None:
    event = track(
        "Order Completed",
        revenue=amount,
        products=[{"sku": "p", "price": amount, "quantity": amount}],
    )

    assert event["items"][0] == {"product_id": "p", "price": amount}
    assert "value" not in event


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Product Viewed", "product_view"),
        ("Product List Viewed", "product_list_view"),
        ("Product Clicked", "product_click"),
        ("Product Added", "add_to_cart"),
        ("Product Removed", "remove_from_cart"),
        ("Product Added to Wishlist", "favorite_add"),
        ("Order Completed", "purchase"),
        ("Order Refunded", "refund"),
        ("Products Searched", "search"),
        ("Signed In", "login"),
        ("Signed Up", "register"),
    ],
)  # fmt: skip
def test_the_names_of_the_specification_are_in_the_catalogue(name: str, kind: str) -> None:
    assert resolve_type(name)[0] == kind
