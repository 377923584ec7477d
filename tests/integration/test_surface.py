"""The whole surface follows one set of conventions (docs/api.md), route by route."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from app.api.index import LINKS
from tests.builders import body
from tests.integration.test_scopes import fill

NOWHERE = "019cf082-5800-7742-af3a-f089aba6564d"
#: Rankings have no pages, and an export is one answer however long.
OTHER_LIMITS = {
    "/api/admin/analytics/top/",
    "/api/admin/analytics/top-services/",
    "/api/admin/analytics/popular-products/",
    "/api/admin/analytics/export/",
}


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    """Give the OpenAPI document."""
    found: dict[str, Any] = body(client.get("/openapi.json"))
    return found


def rules_of(app: Flask) -> Iterator[tuple[Rule, str]]:
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        yield rule, adapter.build(rule.endpoint, fill(rule))


def test_every_path_works_with_and_without_its_last_slash(app: Flask) -> None:
    adapter = app.url_map.bind("localhost")

    for rule, path in rules_of(app):
        method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        bare = path.rstrip("/")
        assert adapter.match(bare or "/", method) == adapter.match(f"{bare}/", method), rule.rule


def test_the_first_page_leads_to_paths_that_exist(app: Flask, client: FlaskClient) -> None:
    answer = client.get("/")

    assert (answer.status_code, body(answer)["name"]) == (200, "millrace")
    assert body(answer)["version"]
    adapter = app.url_map.bind("localhost")
    for path in body(answer)["links"].values():
        assert adapter.allowed_methods(path), path
    assert body(answer)["links"] == LINKS


def test_head_answers_like_get_and_options_what_is_allowed(
    client: FlaskClient, admin: dict[str, str]
) -> None:
    head = client.head("/api/products", headers=admin)
    options = client.options("/api/products")

    assert (head.status_code, head.data) == (200, b"")
    assert (options.status_code, options.allow.as_set()) == (
        200,
        {"get", "head", "options", "post"},
    )


def test_every_parameter_and_field_is_described(document: dict[str, Any]) -> None:
    silent = [
        (path, parameter["name"])
        for path, item in document["paths"].items()
        for owner in (item, *(value for name, value in item.items() if name != "parameters"))
        for parameter in owner.get("parameters", ())
        if "$ref" not in parameter and not parameter.get("description")
    ]
    silent += [
        (name, field)
        for name, schema in document["components"]["schemas"].items()
        for field, about in schema.get("properties", {}).items()
        if "description" not in about and "$ref" not in about
    ]

    assert silent == []


def test_every_list_is_asked_for_in_the_same_way(document: dict[str, Any]) -> None:
    limits = {}
    for path, item in document["paths"].items():
        for parameter in item.get("get", {}).get("parameters", ()):
            if parameter.get("name") == "limit":
                about = parameter["schema"]
                limits[path] = (about["default"], about["minimum"], about["maximum"])

    assert limits.keys() >= OTHER_LIMITS
    assert {limits[path] for path in limits.keys() - OTHER_LIMITS} == {(50, 1, 1000)}


def test_money_is_text_with_at_least_two_digits_behind_the_point(
    client: FlaskClient, admin: dict[str, str]
) -> None:
    client.put("/api/products/p", json={"name": "Lamp", "price": "89.00"}, headers=admin)
    client.put("/api/products/q", json={"name": "Nail", "price": "0.125"}, headers=admin)

    products = body(client.get("/api/products", headers=admin))["products"]
    popular = body(client.get("/api/recommendations/popular"))["recommendations"]

    assert [product["price"] for product in products] == ["89.00", "0.125"]
    assert {product["price"] for product in popular} == {"89.00", "0.125"}


def bodies_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], Any]]:
    """Give the path, method and security of each body, and its media types."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters" and "requestBody" in operation:
                security = operation.get("security", [{}])
                yield path, method, security, operation["requestBody"]["content"]


def examples_of(about: dict[str, Any]) -> list[Any]:
    shown = [example["value"] for example in about.get("examples", {}).values()]
    return [*shown, about["example"]] if "example" in about else shown


def test_every_body_has_examples_and_they_are_taken(
    client: FlaskClient, admin: dict[str, str], document: dict[str, Any]
) -> None:
    for path, method, security, content in bodies_of(document):
        headers = admin if "admin_token" in security[0] else {}
        place = path.replace("{product_id}", "lamp").replace("{erasure_id}", NOWHERE)
        place = place.replace("{letter_id}", NOWHERE)
        for kind, about in content.items():
            shown = examples_of(about)
            assert shown or "such as" in about["schema"]["description"], (method, path, kind)
            for value in shown:
                answer = client.open(
                    place,
                    method=method.upper(),
                    data=value if isinstance(value, str) else orjson.dumps(value),
                    content_type=kind,
                    headers=headers,
                )
                taken = answer.status_code < 300 and '"rejected":[{' not in answer.text
                assert taken or NOWHERE in place, (method, place, answer.text)
