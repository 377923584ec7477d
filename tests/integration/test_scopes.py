"""Every route with every credential: who holds the declared scope gets in, and nobody else."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from werkzeug.routing import IntegerConverter, Rule, UUIDConverter

from app import tracker
from app.auth import UndeclaredViewError, check_views, public, require_scope
from models.api_keys import ADMIN, ADMIN_SCOPES, WRITE
from models.database import transaction
from models.key_changes import issue_key, revoke_key
from tests.builders import NOW
from tests.doors import OUR_DOORS
from tests.integration.test_door import check_problem

OPEN_PATHS = {"/", "/healthz", "/readyz", "/metrics", "/openapi.json"}
OPEN_PATHS |= {f"/mr/{name}" for name in tracker.FILES}
#: Credentials that are no admin token, and the code of the answer to each.
REFUSED = {
    "none": "token_required",
    "malformed": "token_required",
    "basic": "token_required",
    "empty": "token_required",
    "unknown": "invalid_token",
    "write key": "invalid_token",
    "revoked": "token_revoked",
    "expired": "token_expired",
}


@dataclass(frozen=True)
class Route:
    """One method of one path, and the scopes that its view declares: one of them is enough."""

    method: str
    path: str
    scopes: tuple[str, ...]
    ingests: bool


def routes_of(app: Flask) -> Iterator[Route]:
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        view: Any = app.view_functions[rule.endpoint]
        path = adapter.build(rule.endpoint, fill(rule))
        for method in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield Route(method, path, view.accepted_scopes, hasattr(view, "takes_write_key"))


def fill(rule: Rule) -> dict[str, Any]:
    values: dict[type, Any] = {IntegerConverter: 1, UUIDConverter: uuid.UUID(int=1)}
    return {name: values.get(type(converter), "x") for name, converter in rule._converters.items()}


@pytest.fixture
def credentials(engine: Engine) -> dict[str, dict[str, str]]:
    """Make a credential of every kind, each as headers."""
    headers = {
        "none": {},
        "malformed": {"Authorization": "at_no_scheme"},
        "basic": {"Authorization": "Basic YXRfYTo="},
        "empty": {"Authorization": "Bearer "},
        "unknown": {"Authorization": "Bearer at_unknown"},
    }
    with transaction(engine) as session:

        def token(name: str, scopes: tuple[str, ...], **fields: Any) -> Any:
            row, key = issue_key(session, kind=ADMIN, name=name, now=NOW, scopes=scopes, **fields)
            headers[name] = {"Authorization": f"Bearer {key}"}
            return row

        token("all", ADMIN_SCOPES)
        for scope in ADMIN_SCOPES:
            token(scope, (scope,))
        revoke_key(session, token("revoked", ADMIN_SCOPES), now=NOW)
        token("expired", ADMIN_SCOPES, expires_at=NOW - timedelta(seconds=1))
        _, key = issue_key(session, kind=WRITE, name="write", now=NOW)
        headers["write key"] = {"Authorization": f"Bearer {key}"}
    return headers


def test_no_route_is_without_a_declaration_and_few_are_public(app: Flask) -> None:
    routes = list(routes_of(app))

    ingesting = {route.path for route in routes if route.ingests}
    assert {path for path in OUR_DOORS if path in ingesting} == ingesting
    open_to_all = {route.path for route in routes if not route.scopes and not route.ingests}
    assert open_to_all >= OPEN_PATHS
    declared = {scope for route in routes for scope in route.scopes}
    assert declared >= {"read", "export", "admin", "train"}
    # Lists for shop windows, and what is served.
    assert {
        path
        for path in open_to_all - OPEN_PATHS
        if not path.startswith("/api/recommendations/") and path != "/api/model/info"
    } == set()


@pytest.mark.parametrize("credential", sorted(REFUSED))
def test_without_a_valid_admin_token_no_declared_route_answers(
    app: Flask, credentials: dict[str, dict[str, str]], credential: str
) -> None:
    client = app.test_client()

    for route in routes_of(app):
        if not route.scopes or route.method == "HEAD":
            continue
        # The body could not be used either: credentials come first.
        answer = client.open(
            route.path,
            method=route.method,
            headers=credentials[credential],
            data=b"{",
            content_type="application/json",
        )
        check_problem(answer, 401, REFUSED[credential])
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("held", [*ADMIN_SCOPES, "all"])
def test_a_token_gets_past_the_check_where_it_holds_the_scope_and_nowhere_else(
    app: Flask, credentials: dict[str, dict[str, str]], held: str
) -> None:
    client = app.test_client()

    for route in routes_of(app):
        if route.ingests:
            continue
        answer = client.open(
            route.path, method=route.method, headers=credentials[held], buffered=True
        )
        if not route.scopes or held in (*route.scopes, "all"):
            assert answer.status_code not in (401, 403), route
            assert answer.status_code < 500, (route, answer.text)
        elif route.method != "HEAD":
            check_problem(answer, 403, "scope_missing")
        else:
            assert answer.status_code == 403


def test_a_public_route_asks_for_nothing(app: Flask) -> None:
    client = app.test_client()

    for route in routes_of(app):
        if not route.scopes and not route.ingests:
            answer = client.open(route.path, method=route.method, buffered=True)
            assert answer.status_code not in (401, 403), route


def test_methods_that_no_view_has_ask_for_no_credentials(app: Flask) -> None:
    client = app.test_client()

    for route in routes_of(app):
        if not route.ingests:
            assert client.options(route.path).status_code == 200


def test_an_app_with_an_undeclared_view_is_not_made() -> None:
    app = Flask("other", static_folder=None)
    app.add_url_rule("/open", view_func=public(lambda: "x"), endpoint="open")
    app.add_url_rule("/read", view_func=require_scope("read")(lambda: "x"), endpoint="read")
    check_views(app)
    app.add_url_rule("/forgotten", view_func=lambda: "x", endpoint="forgotten")

    with pytest.raises(UndeclaredViewError, match="/forgotten"):
        check_views(app)


def test_a_scope_that_does_not_exist_cannot_be_declared() -> None:
    decorate: Callable[[str], Any] = require_scope

    with pytest.raises(ValueError, match="got 'root'"):
        decorate("root")


def test_a_wrong_path_is_404_without_credentials(client: FlaskClient) -> None:
    check_problem(client.get("/api/nothing"), 404, "not_found")
