"""The catalogue: products are inserted or replaced whole, each judged by itself."""

from __future__ import annotations

import gzip
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.paging import write_cursor
from models.product_metrics import ProductMetrics
from models.products import Product
from tests.builders import store_events
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

    check_problem(answer, 413, "request_too_large")


def test_a_body_nested_without_end_is_refused(client: FlaskClient, admin: Headers) -> None:
    answer = client.post(URL, data=b"[" * 100_000, content_type="application/json", headers=admin)

    check_problem(answer, 400, "bad_request")


def test_the_catalogue_needs_the_admin_scope(client: FlaskClient) -> None:
    check_problem(client.post(URL, json={"products": []}), 401, "token_required")


# Other shapes of the bulk request


def send(client: FlaskClient, admin: Headers, body: bytes, kind: str, **more: str) -> Any:
    return client.post(URL, data=body, content_type=kind, headers={**admin, **more})


CSV = (
    "product_id,name,price,stock,active,season,attributes\r\n"
    'a,"Bag, ""large""",19.99,3,no,spring,"{""weight"": 2}"\r\n'
    "\r\n"
    "b,,,,,,\r\n"
    "c,Cap\r\n"
)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_csv_fills_fields_by_its_header_and_keeps_other_columns(
    client: FlaskClient, admin: Headers, session: Session, mark: bytes
) -> None:
    answer = send(client, admin, mark + CSV.encode(), "text/csv; charset=utf-8")

    assert answer.json == {"created": 3, "updated": 0, "rejected": []}
    bag, bare = session.get_one(Product, "a"), session.get_one(Product, "b")
    assert (bag.name, bag.price, bag.stock, bag.active) == (
        'Bag, "large"',
        Decimal("19.99"),
        3,
        False,
    )
    assert bag.attributes == {"season": "spring", "weight": 2}
    assert (bare.name, bare.price, bare.stock, bare.active) == (None, None, None, True)
    assert bare.attributes == {}


def test_bad_lines_of_csv_are_named_and_the_others_taken(
    client: FlaskClient, admin: Headers
) -> None:
    body = (
        b"product_id;price;stock;attributes\na;1;;\nb;x;;\n;1;;\nc;1;1.5;\nd;1;1;[]\ne;1;1;{};9\n"
    )

    answer = send(client, admin, body, "text/csv")

    assert answer.json["created"] == 1
    found = [(r["index"], r["line"], *r["errors"]) for r in answer.json["rejected"]]
    assert found == [
        (1, 3, "price"),
        (2, 4, "product_id"),
        (3, 5, "stock"),
        (4, 6, "attributes"),
        (5, 7, "_schema"),
    ]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/ndjson"])
def test_ndjson_is_judged_line_by_line(
    client: FlaskClient, admin: Headers, session: Session, kind: str
) -> None:
    lines = [
        b'{"product_id": "a", "price": 0.10}',
        b"{",
        b"",
        b"7",
        b'{"product_id": "b", "attributes": {"n": ' + b"9" * 5000 + b"}}",
        b"[" * 100_000,
        b'{"product_id": "c", "name": "' + b"x" * 2_000_000 + b'"}',
        b'{"product_id": "d"}',
    ]

    answer = send(client, admin, b"\n".join(lines), kind)

    assert answer.json["created"] == 2
    assert [r["line"] for r in answer.json["rejected"]] == [2, 4, 5, 6, 7]
    assert session.get_one(Product, "a").price == Decimal("0.1")


def test_a_bare_list_is_taken_and_packed_bodies_too(client: FlaskClient, admin: Headers) -> None:
    body = gzip.compress(b' [ {"product_id": "a"} , {"product_id": 12} ] ')

    answer = send(client, admin, body, "application/json", **{"Content-Encoding": "gzip"})

    assert answer.json["created"] == 2


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", "text/csv", 400, "no_header"),
        (b"name,price\nx,1", "text/csv", 400, "no_header"),
        (b"product_id,name,name\na,b,c", "text/csv", 400, "no_header"),
        (b"product_id\n", "text/csv", 422, "empty"),
        (b'product_id\n"a', "text/csv", 400, "not_csv"),
        (b'product_id\n"' + b"x\n" * 1_000_000, "text/csv", 400, "not_csv"),
        (b"product_id\n" + b"x" * 2_000_000, "text/csv", 400, "not_csv"),
        ("product_id\nZ\u00fcrich".encode("latin-1"), "text/csv", 400, "not_utf8"),
        ("product_id\na".encode("utf-16"), "text/csv", 400, "not_utf8"),
        ('{"product_id":"a"}'.encode("utf-16"), "application/x-ndjson", 400, "not_utf8"),
        ('[{"product_id":"a"}]'.encode("utf-16"), "application/json", 400, "not_utf8"),
        ('[{"product_id":"a"}]'.encode("utf-16-le"), "application/json", 400, "not_json"),
        (b"\n\n", "application/x-ndjson", 422, "empty"),
        (b"[] []", "application/json", 400, "not_json"),
        (b'[{"product_id":"a"} {}]', "application/json", 400, "not_json"),
        (b'[{"product_id":"a"},]', "application/json", 400, "not_json"),
        (b'[{"product_id":"a"}', "application/json", 400, "not_json"),
        (b'{"products":[],"more":1}', "application/json", 400, "not_json"),
        (b'{"items":[]}', "application/json", 400, "not_a_list"),
        (b'["' + b"x" * 3_000_000, "application/json", 400, "not_json"),
        (b"<products/>", "application/xml", 415, "unsupported_media_type"),
        (b"product_id\na", "text/csv; charset=latin-1", 415, "unsupported_charset"),
        (b"product_id\n" + b"a\n" * 5001, "text/csv", 413, "too_many_products"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_whole(
    client: FlaskClient,
    admin: Headers,
    session: Session,
    body: bytes,
    kind: str,
    status: int,
    code: str,
) -> None:
    check_problem(send(client, admin, body, kind), status, code)
    assert session.query(Product).count() == 0


@hypothesis_settings(max_examples=60)
@given(
    kind=st.sampled_from(["application/json", "application/x-ndjson", "text/csv"]),
    start=st.sampled_from([b"", b"[", b'{"products":[', b"product_id,name,attributes\n"]),
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=9),
            st.sampled_from(
                [
                    b'{"product_id":"a"}',
                    b'{"product_id":"\\ud800"}',
                    b'{"product_id":"b","attributes":{"n":1e999}}',
                    b'{"product_id":"c","product_id":"d","price":1e400}',
                    b'{"product_id":"e","stock":-0}',
                    b'{"product_id":"f","price":-0.0,"active":[]}',
                    b'e,"x\ny","{}"',
                    b"f,,NaN",
                    b"\x00",
                    b"\n",
                    b",",
                    b'"',
                    b"]}",
                ]
            ),
        ),
        max_size=6,
    ),
)
def test_no_body_breaks_the_door(
    client: FlaskClient, admin: Headers, kind: str, start: bytes, pieces: list[bytes]
) -> None:
    assert send(client, admin, start + b"".join(pieces), kind).status_code < 500


# One product


@pytest.mark.parametrize(
    "product_id",
    [
        "p",
        "a/b",
        "a b",
        "50%",
        "a%2Fb",
        "ä😀",
        "metrics2",
        "a?b#c",
        "x.y",
        "training-data",
        "__proto__",
    ],
)
def test_a_product_is_put_read_changed_and_deactivated_by_its_path(
    client: FlaskClient, admin: Headers, product_id: str
) -> None:
    url = f"{URL}/{quote(product_id)}"

    made = client.put(url, json={"name": "Bag", "price": "9.95", "stock": 2}, headers=admin)
    again = client.put(url, json={"name": "Bag 2"}, headers=admin)
    changed = client.patch(f"{url}/", json={"price": 3, "attributes": {"a": 1}}, headers=admin)
    gone = client.delete(url, headers=admin)

    assert (made.status_code, made.json["product_id"]) == (201, product_id)
    assert (again.status_code, again.json["price"], again.json["stock"]) == (200, None, None)
    assert (changed.status_code, changed.json["name"], changed.json["price"]) == (
        200,
        "Bag 2",
        "3.00",
    )
    assert changed.json["attributes"] == {"a": 1}
    assert (gone.status_code, gone.json["active"]) == (200, False)
    assert client.get(url, headers=admin).json == gone.json
    back = client.patch(url, json={"active": True}, headers=admin)
    assert back.json["active"] is True
    again = client.post(f"{url}/deactivate", headers=admin)
    assert (again.status_code, again.json["active"]) == (200, False)


@pytest.mark.parametrize(
    "product_id", ["metrics", "a/metrics", "coverage", "/a", "a//b", "a/", ".."]
)
def test_an_id_that_no_path_can_hold_is_found_by_the_query(
    client: FlaskClient, admin: Headers, product_id: str
) -> None:
    put(client, admin, {"product_id": product_id}, {"product_id": "other"})

    answer = client.get(URL, query_string={"product_id": product_id}, headers=admin)

    assert [product["product_id"] for product in answer.json["products"]] == [product_id]


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_a_product_that_is_not_there_is_not_found(
    client: FlaskClient, admin: Headers, method: str
) -> None:
    body = {"json": {}} if method == "patch" else {}

    check_problem(
        getattr(client, method)(f"{URL}/p", headers=admin, **body), 404, "unknown_product"
    )
    check_problem(client.post(f"{URL}/p/deactivate", headers=admin), 404, "unknown_product")


@pytest.mark.parametrize(
    "fields",
    [{"price": -1}, {"name": "a\0"}, {"name": "\ud800"}, {"active": None}, {"product_id": "q"}, []],
)
@pytest.mark.parametrize("method", ["put", "patch"])
def test_bad_fields_of_one_product_are_refused(
    client: FlaskClient, admin: Headers, method: str, fields: Any
) -> None:
    put(client, admin, {"product_id": "p", "name": "Bag"})

    check_problem(getattr(client, method)(f"{URL}/p", json=fields, headers=admin), 422, "invalid")
    assert client.get(f"{URL}/p", headers=admin).json["name"] == "Bag"


def test_an_id_that_is_too_long_cannot_be_put(client: FlaskClient, admin: Headers) -> None:
    check_problem(client.put(f"{URL}/{'x' * 201}", json={}, headers=admin), 422, "invalid")


def test_a_deactivated_product_keeps_its_metrics_and_is_not_recommended(
    client: FlaskClient, admin: Headers, engine: Engine, session: Session
) -> None:
    put(client, admin, {"product_id": "p"}, {"product_id": "q"})
    store_events(engine, {"event_type": "rate", "product_id": "p", "value": 5})

    client.delete(f"{URL}/p", headers=admin)

    shown = client.get("/api/recommendations/popular").json["recommendations"]
    assert [item["product_id"] for item in shown] == ["q"]
    assert session.get_one(ProductMetrics, "p").rating_count == 1
    client.patch(f"{URL}/p", json={"active": True}, headers=admin)
    shown = client.get("/api/recommendations/popular").json["recommendations"]
    assert {item["product_id"] for item in shown} == {"p", "q"}


# The list


SHELF = (
    {"product_id": "a", "name": "Red Bag", "category": "bags", "price": "10.50", "stock": 0},
    {"product_id": "b", "name": "50%_off", "category": "bags", "price": "2", "stock": 4},
    {"product_id": "C", "name": None, "category": "caps", "price": None},
    {"product_id": "d", "name": "Blue bag", "category": "caps", "price": "10.5", "active": False},
    {"product_id": "e", "name": "Blue bag", "category": None, "price": None},
)


def listed(client: FlaskClient, admin: Headers, **query: Any) -> list[str]:
    answer = client.get(URL, query_string=query, headers=admin)
    assert answer.status_code == 200, answer.text
    return [product["product_id"] for product in answer.json["products"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "BAG"}, "ade"),
        ({"q": "c"}, "C"),
        ({"q": "%"}, "b"),
        ({"q": "_"}, "b"),
        ({"q": "0%_o"}, "b"),
        ({"q": "\\"}, ""),
        ({"category": "bags"}, "ab"),
        ({"active": "false"}, "d"),
        ({"in_stock": "true"}, "Cbde"),
        ({"in_stock": "false"}, "a"),
        ({"min_price": "2", "max_price": "10.49"}, "b"),
        ({"min_price": "10.5", "active": "true"}, "a"),
        ({"product_id": "C"}, "C"),
    ],
)
def test_the_list_has_what_the_filters_leave(
    client: FlaskClient, admin: Headers, query: dict[str, str], found: str
) -> None:
    put(client, admin, *SHELF)

    assert sorted(listed(client, admin, **query)) == sorted(found)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["product_id", "name", "price", "updated_at"])
@pytest.mark.parametrize("limit", [1, 2])
def test_pages_give_every_product_once_and_those_without_the_value_last(
    client: FlaskClient, admin: Headers, sort: str, order: str, limit: int
) -> None:
    put(client, admin, *SHELF)
    found, cursor = [], None
    while True:
        query = {"sort": sort, "order": order, "limit": limit}
        page = client.get(URL, query_string={**query, "cursor": cursor}, headers=admin).json
        found += page["products"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    ids = [product["product_id"] for product in found]
    assert ids == listed(client, admin, sort=sort, order=order)
    assert sorted(ids) == sorted("abCde")
    if sort in ("name", "price"):
        known = [product[sort] is not None for product in found]
        assert known == sorted(known, reverse=True)
    if sort == "price":
        prices = [Decimal(product["price"]) for product in found if product["price"]]
        assert prices == sorted(prices, reverse=order == "desc")


@pytest.mark.parametrize(
    ("sort", "cursor"),
    [
        ("price", "nonsense"),
        ("price", write_cursor("name asc", True, "Bag", "a")),
        ("price", write_cursor("price desc", True, "1", "a")),
        ("price", write_cursor("price asc", True, "1e999999999", "a")),
        ("price", write_cursor("price asc", True, "NaN", "a")),
        ("updated_at", write_cursor("updated_at asc", True, "yesterday", "a")),
        ("updated_at", write_cursor("updated_at asc", True, "2026-01-01T00:00:00", "a")),
        ("name", write_cursor("name asc", True, "a\0", "a")),
    ],
)
def test_a_cursor_of_another_list_is_refused(
    client: FlaskClient, admin: Headers, sort: str, cursor: str
) -> None:
    answer = client.get(URL, query_string={"sort": sort, "cursor": cursor}, headers=admin)

    check_problem(answer, 400, "bad_cursor")


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"sort": "colour"},
        {"order": "up"},
        {"min_price": "1e30"},
        {"min_price": "NaN"},
        {"active": "perhaps"},
        {"nonsense": "1"},
    ],
)
def test_a_query_that_cannot_be_used_is_refused(
    client: FlaskClient, admin: Headers, query: dict[str, str]
) -> None:
    answer = client.get(URL, query_string=query, headers=admin)

    assert answer.status_code == 200 if "nonsense" in query else 422
