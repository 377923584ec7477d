"""The activity door: one event or a list, the verdicts of the native door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.events import Event
from tasks.ingest import Drainer
from tests.builders import NOW, body
from tests.integration.test_door import check_problem

LOG, BATCH = "/api/events/log", "/api/events/log/batch"
OPENED = {
    "event_type": "project_opened",
    "user_id": "u1",
    "entity_type": "project",
    "entity_id": "p-7",
    "metadata": {"tab": "plan"},
    "session_id": "s1",
    "device_type": "mobile",
    "context_snapshot": {"theme": "dark"},
    "duration_ms": 1500,
    "timestamp": "2026-03-15T11:00:00Z",
}


@pytest.mark.parametrize("path", [LOG, f"{LOG}/"])
def test_one_activity_event_is_stored_as_it_was_sent(
    client: FlaskClient, drainer: Drainer, session: Session, path: str
) -> None:
    answer = client.post(path, json=OPENED)

    assert answer.status_code == 201
    drainer.drain()
    event = session.scalars(select(Event)).one()
    assert body(answer) == {"event_id": str(event.event_id), "status": "accepted"}
    assert (event.event_category, event.event_action) == ("project", "open")
    assert (event.entity_type, event.entity_id, event.session_id) == ("project", "p-7", "s1")
    assert (event.properties, event.context) == ({"tab": "plan"}, {"theme": "dark"})
    assert (event.device_type, event.duration_ms) == ("mobile", 1500)
    assert event.occurred_at == NOW.replace(hour=11)


@pytest.mark.parametrize("path", [BATCH, f"{BATCH}/"])
@pytest.mark.parametrize("is_bare", [True, False])
def test_a_list_is_judged_event_by_event(
    client: FlaskClient, drainer: Drainer, path: str, is_bare: bool
) -> None:
    events = [OPENED, {"entity_id": "no type"}, {**OPENED, "entity_id": "p-8"}]

    answer = client.post(path, json=events if is_bare else {"events": events})

    assert answer.status_code == 201
    assert body(answer)["events_created"] == 2
    assert [result["status"] for result in body(answer)["results"]] == ["ok", "rejected", "ok"]
    assert drainer.drain().stored == 2


def test_the_same_message_sent_to_both_doors_is_one_event(
    client: FlaskClient, drainer: Drainer
) -> None:
    event = {**OPENED, "message_id": "m1"}

    first = body(client.post(LOG, json=event))["event_id"]
    again = body(client.post("/api/v1/analytics/events/", json=event))["event_id"]

    assert first == again
    assert drainer.drain().stored == 1


@pytest.mark.parametrize(
    ("path", "sent", "status", "code"),
    [
        (LOG, b"", 400, "not_json"),
        (LOG, b"[]", 400, "not_an_event"),
        (LOG, b'{"events": [{"event_type": "login"}]}', 400, "not_an_event"),
        (LOG, b'{"event_type": ""}', 422, "invalid"),
        (LOG, b'{"event_type": "login", "metadata": [1]}', 422, "invalid"),
        (LOG, b'{"event_type": "login", "timestamp": "year 294277"}', 422, "invalid"),
        (LOG, b'{"event_type": "login", "user_id": "\\u0000"}', 422, "invalid"),
        (LOG, b'{"event_type": "login", "duration_ms": ' + b"9" * 1500 + b"}", 422, "invalid"),
        (
            LOG,
            b'{"event_type": "login", "metadata": {"a": "' + b"x" * 3000 + b'"}}',
            413,
            "too_large",
        ),
        (LOG, b"\xff\xfe{\x00}\x00", 400, "not_utf8"),
        (BATCH, b"[]", 422, "empty"),
        (BATCH, b"  [", 400, "not_json"),
        (BATCH, b"[1, null, []]", 422, "all_rejected"),
        (BATCH, b'{"event_type": "login"}', 400, "not_a_list"),
        (BATCH, b'{"events": {}}', 400, "not_a_list"),
        (BATCH, b"[" * 100_000, 400, "not_json"),
        (BATCH, b"[" + b",".join([b"{}"] * 1001) + b"]", 413, "too_many_events"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_reason(
    client: FlaskClient, path: str, sent: bytes, status: int, code: str
) -> None:
    answer = client.post(path, data=sent, content_type="application/json")

    check_problem(answer, status, code)


def test_switched_off_it_keeps_nothing(app_with: Callable[..., FlaskClient]) -> None:
    client = app_with(analytics_enabled=False)

    assert client.post(LOG, json=OPENED).status_code == 204
    assert client.post(BATCH, json=[OPENED]).status_code == 204


def test_a_key_can_be_demanded(app_with: Callable[..., FlaskClient]) -> None:
    check_problem(app_with(require_key=True).post(LOG, json=OPENED), 401, "key_required")


def test_the_document_names_the_fields_of_activity_logs(client: FlaskClient) -> None:
    document: Any = client.get("/openapi.json").json

    fields = document["components"]["schemas"]["ActivityEvent"]["properties"]
    assert {"metadata", "context_snapshot", "timestamp", "event_type", "items"} <= set(fields)
