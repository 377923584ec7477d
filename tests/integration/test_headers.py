"""What every answer carries, and what the log says of a request: its id, and nobody's data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import slow_requests
from app.auth import public
from app.lane import ROUTES
from logs import describe_error
from tests.builders import body
from tests.integration.test_door import URL, VIEW

AppWith = Callable[..., FlaskClient]
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PERSON = {
    "user_id": "user-4711-secret",
    "anonymous_id": "anon-0815-secret",
    "session_id": "session-secret",
    "properties": {"email": "jane@secret.example"},
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", URL),
        ("OPTIONS", URL),
        ("GET", "/healthz"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("GET", "/api/keys"),
        ("PROPFIND", "/api/keys"),
    ],
)
def test_every_answer_makes_browsers_careful(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method, json=VIEW)

    assert {name: answer.headers.get(name) for name in SECURITY} == SECURITY
    assert "Server" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers


def test_an_answer_with_a_policy_of_its_own_keeps_it(app: Flask, client: FlaskClient) -> None:
    def page() -> Any:
        return (
            "x",
            200,
            {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "public"},
        )

    app.add_url_rule("/page", view_func=public(page))

    answer = client.get("/page")

    assert answer.headers.getlist("Content-Security-Policy") == ["default-src 'self'"]
    assert answer.headers.getlist("Cache-Control") == ["public"]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "secure"),
    [(1, "https", True), (1, "http, https", True), (1, "https, http", False), (0, "https", False)],
)
def test_https_is_demanded_once_a_trusted_proxy_spoke_it(
    app_with: AppWith, proxies: int, forwarded: str, secure: bool
) -> None:
    client = app_with(trusted_proxies=proxies)

    answer = client.get("/healthz", headers={"X-Forwarded-Proto": forwarded})

    assert ("Strict-Transport-Security" in answer.headers) is secure


@pytest.mark.parametrize("path", [URL, "/healthz", "/nowhere"])
def test_a_clients_request_id_is_given_back(client: FlaskClient, path: str) -> None:
    answer = client.post(path, json=VIEW, headers={"X-Request-ID": "trace-1.A_b"})

    assert answer.headers["X-Request-ID"] == "trace-1.A_b"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ü", "a;b", '{"a":1}'])
def test_an_id_that_cannot_be_used_is_replaced(client: FlaskClient, given: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": given})

    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"])


def test_requests_have_different_ids(client: FlaskClient) -> None:
    ids = {client.get("/healthz").headers["X-Request-ID"] for _ in range(100)}

    assert len(ids) == 100


@pytest.mark.parametrize(("method", "path"), [("POST", URL), ("GET", "/nowhere")])
def test_a_problem_names_its_request(client: FlaskClient, method: str, path: str) -> None:
    answer = client.open(path, method=method, json={}, headers={"X-Request-ID": "r1"})

    assert answer.status_code >= 400
    assert body(answer)["request_id"] == "r1"


def lines_of(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], str]:
    text = capsys.readouterr().err
    return [orjson.loads(line) for line in text.splitlines() if line.startswith("{")], text


def test_the_log_of_a_failing_ingestion_has_the_requests_id_and_nobodys_data(
    capsys: pytest.CaptureFixture[str], app_with: AppWith
) -> None:
    client = app_with(redis_url="redis://127.0.0.1:1/0")

    answer = client.post(
        URL,
        json={**VIEW, **PERSON},
        headers={"X-Request-ID": "r1", "User-Agent": "agent-secret", "X-Client-ANON-ID": "secret"},
        environ_base={"REMOTE_ADDR": "203.0.113.77"},
    )

    assert answer.status_code == 503
    lines, text = lines_of(capsys)
    (line,) = [line for line in lines if line["event"] == "inbox_unavailable"]
    assert line["request_id"] == "r1"
    assert "secret" not in text
    assert "203.0.113" not in text


@pytest.mark.parametrize("path", ["/broken/user-4711-secret", URL])
def test_the_log_of_a_fault_of_ours_says_where_and_not_what(
    capsys: pytest.CaptureFixture[str],
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("user-4711-secret")

    app.add_url_rule("/broken/<who>", view_func=public(broken), methods=["POST"])
    monkeypatch.setitem(ROUTES.exact, URL, {"POST": broken})

    answer = app.test_client().post(path, json=PERSON, headers={"X-Request-ID": "r1"})

    assert (answer.status_code, body(answer)["code"]) == (500, "internal_error")
    assert body(answer)["request_id"] == "r1"
    lines, text = lines_of(capsys)
    (line,) = [line for line in lines if line["event"] == "request_failed"]
    assert line["request_id"] == "r1"
    assert "KeyError" in line["error"]
    assert "test_headers.py" in line["error"]
    assert "secret" not in text


def test_a_request_leaves_no_id_behind(
    capsys: pytest.CaptureFixture[str], client: FlaskClient
) -> None:
    client.get("/healthz", headers={"X-Request-ID": "r1"}, buffered=True).close()

    slow_requests.log.error("between_requests")

    (line,) = lines_of(capsys)[0]
    assert "request_id" not in line


def test_a_slow_request_is_logged_by_its_route(
    capsys: pytest.CaptureFixture[str], client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_requests, "SLOW_S", 0.0)

    client.get("/api/recommendations/user/user-4711-secret", headers={"X-Request-ID": "r1"})

    lines, text = lines_of(capsys)
    (line,) = [line for line in lines if line["event"] == "slow_request"]
    assert (line["route"], line["request_id"]) == (
        "/api/recommendations/user/<path:user_id>/",
        "r1",
    )
    assert "secret" not in text


def test_an_error_is_described_with_its_causes_and_without_its_words() -> None:
    try:
        try:
            raise ValueError("jane@secret.example")
        except ValueError as error:
            raise LookupError("secret") from error
    except LookupError as error:
        text = describe_error(error)

    assert re.search(r"LookupError at .*test_headers\.py:\d+ .* from ValueError at ", text)
    assert "secret" not in text
