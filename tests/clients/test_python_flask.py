"""A Flask shop that tells Millrace, with the Python client's extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, request, session
from millrace_client import Client
from millrace_client.contrib.flask import Millrace

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def make_shop(client: Client, **options: Any) -> Flask:
    """Make the worked example of the client's README."""
    shop = Flask("shop")
    shop.secret_key = "only for tests"
    Millrace(shop, client=client, user=lambda: session.get("user_id"), **options)

    @shop.get("/products/<product_id>")
    def show(product_id: str) -> str:
        client.track_product_view(product_id)
        return f"<h1>{product_id}</h1>"

    @shop.post("/login")
    def log_in() -> dict[str, str]:
        session["user_id"] = request.form["user_id"]
        client.track("login")
        return {}

    @shop.get("/broken")
    def break_down() -> str:
        raise ZeroDivisionError

    @shop.get("/static-page")
    def show_stream() -> Response:
        return Response(iter(["<p>", "</p>"]), mimetype="text/html")

    return shop


@pytest.fixture
def client(client_of: Callable[..., Client]) -> Client:
    return client_of()


def test_events_of_a_request_know_its_visitor(client, stored) -> None:
    browser = make_shop(client, set_cookies=True).test_client()

    answer = browser.get("/products/p1?utm_source=news", headers={"User-Agent": AGENT})
    browser.post("/login", data={"user_id": "u1"})
    browser.get("/products/p2")

    assert client.flush()
    rows = sorted(stored(), key=lambda row: row["event_id"])
    assert sorted(row["event_type"] for row in rows) == [
        "login",
        "page_view",
        "page_view",
        "product_view",
        "product_view",
    ]
    users = {row["product_id"] or row["event_type"]: row["user_id"] for row in rows}
    assert (users["p1"], users["login"], users["p2"]) == (None, "u1", "u1")
    assert len({row["anonymous_id"] for row in rows}) == 1
    assert len({row["session_id"] for row in rows}) == 1
    view = next(row for row in rows if row["product_id"] == "p1")
    assert view["context"] == {
        "ip": "127.0.0.0",
        "user_agent": AGENT,
        "campaign": {"source": "news"},
    }
    assert (view["source"], view["device_type"]) == ("web", "desktop")
    assert any("mr_anonymous=" in each for each in answer.headers.getlist("Set-Cookie"))


def test_pages_are_told_with_their_status_and_route(client, stored) -> None:
    browser = make_shop(client).test_client()

    browser.get("/products/p1")
    browser.get("/nowhere")
    browser.get("/broken")
    browser.get("/static-page")

    assert client.flush()
    pages = [row for row in stored() if row["event_type"] == "page_view"]
    assert {(row["properties"]["status"], row["properties"].get("route")) for row in pages} == {
        (200, "/products/<product_id>"),
        (404, None),
        (500, "/broken"),
        (200, "/static-page"),
    }
    assert all(row["duration_ms"] >= 0 for row in pages)


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        ({"DNT": "1"}, {}),
        ({"Sec-GPC": "1"}, {}),
        ({}, {"consent": lambda: request.cookies.get("consent") == "yes"}),
    ],
    ids=["do not track", "global privacy control", "no consent"],
)
def test_who_declines_is_not_tracked_and_gets_no_cookie(headers, options, client, server) -> None:
    browser = make_shop(client, set_cookies=True, **options).test_client()

    answer = browser.get("/products/p1", headers=headers)

    assert client.flush()
    assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (200, [])
    assert (server.seen, client.stats.dropped) == ([], {"declined": 1})


def test_a_fault_of_the_callbacks_does_not_break_the_page(client, server, caplog) -> None:
    browser = make_shop(client, consent=lambda: 1 / 0).test_client()

    assert browser.get("/products/p1").status_code == 200

    assert (server.seen, client.stats.dropped) == ([], {"invalid": 1})
    assert "a page view was not told" in caplog.text


def test_events_outside_of_requests_have_no_visitor(client, stored) -> None:
    make_shop(client).test_client().get("/products/p1")
    client.track("note")

    assert client.flush()
    assert [row["source"] for row in stored() if row["event_type"] == "note"] == ["server"]
