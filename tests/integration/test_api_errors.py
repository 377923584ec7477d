"""Errors of every route are problem documents, and no input makes a 500."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tasks.celery_app import app as celery_app
from tests.builders import body
from tests.integration.test_door import check_problem
from tests.integration.test_scopes import fill

ROOT = Path(__file__).resolve().parents[2]


def paths_of(app: Flask) -> set[str]:
    """Give a path for each route, its variables filled in."""
    adapter = app.url_map.bind("localhost")
    return {
        adapter.build(rule.endpoint, fill(rule), force_external=False)
        for rule in app.url_map.iter_rules()
    }


def test_an_unknown_path_is_a_problem_document(client: FlaskClient) -> None:
    check_problem(client.get("/nowhere"), 404, "not_found")


def test_a_wrong_method_is_a_problem_document_on_every_route(
    app: Flask, client: FlaskClient
) -> None:
    paths = paths_of(app)

    assert "/api/v1/analytics/events/" in paths
    for path in paths:
        answer = client.open(path, method="PROPFIND")
        check_problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/recommendations/product/%00",
        "/api/recommendations/user/a%00b",
        "/api/recommendations/user/%ff%fe",
        "/api/recommendations/product/" + "x" * 5000,
        "/api/recommendations/popular?n=%00",
        "/api/admin/analytics/export/?event_type=%00",
        "/api/admin/analytics/export/?event_type=a%00b",
        "/api/admin/analytics/daily-summary/?date=%00",
        "/api/training-runs/99999999999999999999",
        "/api/training-runs/9223372036854775807",
        "/api/training-runs/-1",
        "/api/v1/analytics/events/?writeKey=%00",
    ],
)
def test_an_odd_address_never_makes_a_500(
    client: FlaskClient, admin: dict[str, str], path: str
) -> None:
    answer = client.get(path, headers=admin, buffered=True)

    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert answer.mimetype == "application/problem+json"


def test_a_database_that_is_away_is_503_and_worth_another_try(
    app_with: Callable[..., FlaskClient], admin: dict[str, str]
) -> None:
    client = app_with(database_url="postgresql://nobody@127.0.0.1:1/nowhere")

    answer = client.get("/api/keys", headers=admin)

    check_problem(answer, 503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_the_openapi_document_names_every_route(app: Flask, client: FlaskClient) -> None:
    answer = client.get("/openapi.json")

    assert answer.status_code == 200
    assert "/api/v1/analytics/events/" in body(answer)["paths"]
    assert "/api/recommendations/user/{user_id}/" in body(answer)["paths"]


def test_every_task_that_the_app_sends_is_registered() -> None:
    sent = set()
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="send" | "send_task"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    sent.add(name)

    # As a worker does when it starts.
    import_module("tasks.registry")
    assert sent >= {"ingest.drain", "train.run"}
    assert sent <= set(celery_app.tasks)
