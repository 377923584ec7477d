"""The OpenAPI document says of every route what it needs, and how it can fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_smorest.spec.plugins import FlaskPlugin

from app.auth import require_scope, takes_write_key
from app.blueprint import ApiBlueprint
from app.openapi import ProblemApi
from tests.builders import body
from tests.doors import OUR_DOORS

PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    """Give the document as anybody can read it."""
    found: dict[str, Any] = body(client.get("/openapi.json"))
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_operation_has_a_summary_of_its_own_and_a_tag(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert operation["summary"], (path, method)
        assert operation["tags"], (path, method)


def test_every_operation_names_its_scope_or_is_public(app: Flask, document: dict[str, Any]) -> None:
    views: dict[tuple[str, str], Any] = {}
    for rule in app.url_map.iter_rules():
        path = FlaskPlugin.flaskpath2openapi(rule.rule)
        for method in rule.methods or ():
            views[path, method.lower()] = app.view_functions[rule.endpoint]

    for path, method, operation in operations(document):
        view = views[path, method]
        if view.accepted_scopes:
            assert operation["security"] == [
                {"admin_token": [scope]} for scope in view.accepted_scopes
            ]
            assert f"the scope `{view.accepted_scopes[0]}`" in operation["description"]
        elif path in OUR_DOORS:
            assert operation["security"] == [{}, {"write_key": []}]
        else:
            assert "security" not in operation


def test_every_failure_is_a_problem_document(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        answers = operation["responses"]
        expected = {"400", "429", "default"}
        if "security" in operation and path not in OUR_DOORS:
            expected |= {"401", "403"}
        if "{" in path:
            expected.add("404")
        if "requestBody" in operation:
            expected |= {"413", "422"}
        assert expected <= answers.keys(), (path, method)
        for status, answer in answers.items():
            assert answer.get("description") or "$ref" in answer, (path, method, status)
            # Who is not ready says what is missing, as who is ready does.
            if status[0] in "45" and "$ref" not in answer and path != "/readyz":
                assert answer["content"] == {"application/problem+json": PROBLEM}
    shared = document["components"]["responses"]
    for name, answer in shared.items():
        assert answer["content"] == {"application/problem+json": PROBLEM}, name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(references(document)):
        place: Any = document
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
        assert place


def test_the_document_says_how_to_send_credentials(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]

    assert (schemes["admin_token"]["type"], schemes["admin_token"]["scheme"]) == ("http", "bearer")
    assert (schemes["write_key"]["in"], schemes["write_key"]["name"]) == ("header", "X-Write-Key")


def test_bounds_of_money_are_numbers(document: dict[str, Any]) -> None:
    def bounds(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from (value[name] for name in ("minimum", "maximum") if name in value)
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                yield from bounds(item)

    assert {type(bound) for bound in bounds(document)} <= {int, float}


def test_a_blueprint_documents_what_its_views_declare() -> None:
    blueprint = ApiBlueprint("things", __name__, url_prefix="/things")

    @blueprint.route("/<thing_id>")
    @blueprint.doc(summary="One", responses={"409": {"description": "It is taken"}})
    @require_scope("export")
    def read(thing_id: str) -> str:
        """Give one thing."""
        return thing_id

    @blueprint.route("", methods=["POST"])
    @takes_write_key
    def send() -> str:
        """Take things."""
        return ""

    app = Flask("things", static_folder=None)
    app.config.update(API_TITLE="Things", API_VERSION="v1", OPENAPI_VERSION="3.1.0")
    api = ProblemApi(app)
    api.register_blueprint(blueprint)
    paths = api.spec.to_dict()["paths"]

    one = paths["/things/{thing_id}"]["get"]
    assert one["security"] == [{"admin_token": ["export"]}]
    assert one["description"] == "Give one thing.\n\nNeeds an admin token with the scope `export`."
    assert set(one["responses"]) == {"400", "401", "403", "404", "409", "429", "default"}
    assert one["responses"]["409"]["content"] == {"application/problem+json": PROBLEM}
    assert paths["/things"]["post"]["security"] == [{}, {"write_key": []}]
