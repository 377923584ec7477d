"""The catalogue: products are inserted or replaced whole, each judged by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from models.products import Product
from tests.integration.test_door import check_problem

URL = "/api/products"
Headers = dict[str, str]


def put(client: FlaskClient, admin: Headers, *products: Any) -> Any:
    return client.post(URL, json={"products": list(products)}, headers=admin)


def test_products_are_created_and_then_replaced_whole(
    client: FlaskClient, admin: Headers, session: Session
) -> None:
    first = put(client, admin, {"product_id": "p", "name": "Bag", "price": 9.95, "color": "red"})
    again = put(client, admin, {"product_id": "p", "name": "Bag 2", "stock": 3})

    assert first.json == {"created": 1, "updated": 0, "rejected": []}
    assert again.json == {"created": 0, "updated": 1, "rejected": []}
    product = session.get_one(Product, "p")
    assert (product.name, product.price, product.color, product.stock) == ("Bag 2", None, None, 3)
    assert product.active


def test_prices_are_exact(client: FlaskClient, admin: Headers, session: Session) -> None:
    put(client, admin, {"product_id": "p", "price": "19.99"}, {"product_id": "q", "price": 0.1})

    assert session.get_one(Product, "p").price == Decimal("19.99")
    assert session.get_one(Product, "q").price == Decimal("0.1")


@pytest.mark.parametrize(
    ("product", "field"),
    [
        ({}, "product_id"),
        ({"product_id": ""}, "product_id"),
        ({"product_id": "x" * 201}, "product_id"),
        ({"product_id": "x", "price": -1}, "price"),
        ({"product_id": "x", "price": "NaN"}, "price"),
        ({"product_id": "x", "price": "1e30"}, "price"),
        ({"product_id": "x", "stock": 1.5}, "stock"),
        ({"product_id": "x", "stock": 2**31}, "stock"),
        ({"product_id": "x", "colour": "red"}, "colour"),
        ({"product_id": "x", "attributes": []}, "attributes"),
        ({"product_id": "x", "name": "a\0b"}, "_schema"),
        ({"product_id": "x", "name": "\ud800"}, "_schema"),
        ({"product_id": "x", "attributes": {"a": float("nan")}}, "_schema"),
        ("x", "_schema"),
        (None, "_schema"),
    ],
)
def test_a_bad_product_is_rejected_and_the_others_are_taken(
    client: FlaskClient, admin: Headers, session: Session, product: Any, field: str
) -> None:
    answer = put(client, admin, {"product_id": "a"}, product, {"product_id": "b"})

    assert answer.status_code == 200
    assert (answer.json["created"], len(answer.json["rejected"])) == (2, 1)
    assert answer.json["rejected"][0]["index"] == 1
    assert list(answer.json["rejected"][0]["errors"]) == [field]


@pytest.mark.parametrize(
    "product",
    [
        {"product_id": 7, "price": "1e-500000"},
        {"product_id": "p", "attributes": {"n": 10**40, "x": 1e-300}},
        {"product_id": "😀" * 200, "name": "=1+1"},
    ],
)
def test_an_odd_product_is_stored(client: FlaskClient, admin: Headers, product: Any) -> None:
    assert put(client, admin, product).json["created"] == 1


def test_of_two_products_with_one_id_the_last_wins(
    client: FlaskClient, admin: Headers, session: Session
) -> None:
    put(client, admin, {"product_id": "p", "name": "one"}, {"product_id": "p", "name": "two"})

    assert session.get_one(Product, "p").name == "two"


def test_the_largest_allowed_list_is_taken(client: FlaskClient, admin: Headers) -> None:
    answer = put(client, admin, *({"product_id": f"p{n}"} for n in range(5000)))

    assert answer.json["created"] == 5000


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"products":[]}', b'{"products":{}}', b"{"])
def test_a_body_without_products_is_refused(
    client: FlaskClient, admin: Headers, body: bytes
) -> None:
    answer = client.post(URL, data=body, content_type="application/json", headers=admin)

    assert answer.status_code in (400, 422)
    assert answer.mimetype == "application/problem+json"


def test_a_body_beyond_the_bound_is_refused(client: FlaskClient, admin: Headers) -> None:
    body = b'{"products":[{"product_id":"' + b"p" * 17_000_000 + b'"}]}'

    answer = client.post(URL, data=body, content_type="application/json", headers=admin)

    check_problem(answer, 413, "request_entity_too_large")


def test_a_body_nested_without_end_is_refused(client: FlaskClient, admin: Headers) -> None:
    answer = client.post(URL, data=b"[" * 100_000, content_type="application/json", headers=admin)

    check_problem(answer, 400, "bad_request")


def test_the_catalogue_needs_the_admin_scope(client: FlaskClient) -> None:
    check_problem(client.post(URL, json={"products": []}), 401, "token_required")
