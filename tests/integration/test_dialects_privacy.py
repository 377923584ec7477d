"""What may not be kept is kept nowhere: in the words of any system, of events taken or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from tasks.ingest import Drainer
from tests.builders import NOW

AppWith = Callable[..., FlaskClient]
ADDRESS, SECRET = "198.51.100.77", "the secret of u1"
TIME = NOW.isoformat()
HIDDEN = {"Card": SECRET, "a": [{"cARD": {"x": SECRET}}]}
SERVER = {"User-Agent": "a back end/1.0"}
PAGE = {"User-Agent": "Mozilla/5.0", "Origin": "https://shop.example"}

SEGMENT = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m",
    "userId": "u1",
    "timestamp": TIME,
    "context": {"ip": ADDRESS, "card": SECRET},
    "properties": {**HIDDEN, "products": [{"sku": "p", **HIDDEN}]},
}
POSTHOG = {
    "event": "Order Completed",
    "uuid": "m",
    "distinct_id": "u1",
    "timestamp": TIME,
    "properties": {
        **HIDDEN,
        "$ip": ADDRESS,
        "$set": HIDDEN,
        "products": [{"sku": "p", **HIDDEN}],
    },
}
CLOUD = {
    "specversion": "1.0",
    "id": "m",
    "source": "/shop",
    "type": "order.completed",
    "card": SECRET,
    "data": {**HIDDEN, "products": [{"sku": "p", **HIDDEN}]},
}

Post = Callable[[FlaskClient, dict[str, Any], dict[str, str]], Any]


def _post(path: str, wrap: Callable[[dict[str, Any]], Any], **more: str) -> Post:
    def send(client: FlaskClient, message: dict[str, Any], headers: dict[str, str]) -> Any:
        return client.post(path, json=wrap(message), headers={**headers, **more})

    return send


DOORS = [
    pytest.param(_post("/v1/batch", lambda one: {"batch": [one]}), SEGMENT, id="segment batch"),
    pytest.param(_post("/v1/track", lambda one: one), SEGMENT, id="segment"),
    pytest.param(_post("/beacon/v1/batch", lambda one: {"batch": [one]}), SEGMENT, id="beacon"),
    pytest.param(_post("/batch/", lambda one: {"batch": [one]}), POSTHOG, id="posthog batch"),
    pytest.param(_post("/mr/e/", lambda one: [one]), POSTHOG, id="posthog list"),
    pytest.param(_post("/engage/", lambda one: one), POSTHOG, id="posthog person"),
    pytest.param(
        _post(
            "/cloudevents",
            lambda one: [one],
            **{"Content-Type": "application/cloudevents-batch+json"},
        ),
        CLOUD,
        id="cloudevents",
    ),
]  # fmt: skip


def find_everywhere(session: Session, what: str) -> list[str]:
    """List the tables in which a text stands anywhere."""
    tables = inspect(session.get_bind()).get_table_names()
    return [
        table
        for table in tables
        if session.scalar(
            text(f'SELECT count(*) FROM "{table}" AS line WHERE line::text LIKE :what'),
            {"what": f"%{what}%"},
        )
    ]


@pytest.mark.parametrize("headers", [SERVER, PAGE], ids=["server", "page"])
@pytest.mark.parametrize("bad", [{}, {"timestamp": "soon", "time": "soon"}], ids=["good", "bad"])
@pytest.mark.parametrize(("send", "message"), DOORS)
def test_no_address_and_no_denied_field_is_kept(
    app_with: AppWith,
    drainer: Drainer,
    session: Session,
    send: Post,
    message: dict[str, Any],
    bad: dict[str, str],
    headers: dict[str, str],
) -> None:
    client = app_with(ip_mode="off", property_deny_list="card")
    kept = [ADDRESS, "203.0.113.9"]

    answer = send(client, {**message, **bad}, {**headers, "X-Forwarded-For": "203.0.113.9"})
    result = drainer.drain()

    assert (result.stored, result.dead) == ((0, 0) if bad else (1, 0))
    assert answer.status_code == (
        400 if bad and message is CLOUD else 202 if message is CLOUD else 200
    )
    assert result.quarantined == (1 if bad else 0)
    assert [find_everywhere(session, each) for each in [*kept, SECRET]] == [[], [], []]


@pytest.mark.parametrize(("send", "message"), DOORS)
def test_a_browser_that_declines_is_nowhere(
    app_with: AppWith,
    drainer: Drainer,
    session: Session,
    send: Post,
    message: dict[str, Any],
) -> None:
    client = app_with(respect_dnt=True)

    for header in ("DNT", "Sec-GPC"):
        assert send(client, message, {**PAGE, header: "1"}).status_code in (200, 204)

    result = drainer.drain()
    assert (result.stored, result.quarantined) == (0, 0)
    assert find_everywhere(session, "u1") == []
