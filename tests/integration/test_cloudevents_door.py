"""The CloudEvents door: events in headers, in JSON and in batches, answered as web hooks are."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.api_keys import WRITE, make_key
from models.database import transaction
from models.events import Event
from tasks.ingest import Drainer
from tests.builders import body
from tests.integration.test_posthog_door import stored
from tests.unit.intake.test_cloud_events import cloud_event

AppWith = Callable[..., FlaskClient]
PATH = "/cloudevents"
SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
IN_HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/shop",
    "ce-type": "product_view",
    "ce-time": "2026-03-15T11:00:00Z",
}


def deliver(client: FlaskClient, document: Any, kind: str = SINGLE, **kwargs: Any) -> Any:
    """Send a document as one of the JSON formats."""
    return client.post(PATH, data=orjson.dumps(document), content_type=kind, **kwargs)


def only(drainer: Drainer, session: Session) -> Event:
    (found,) = stored(drainer, session)
    return found


@pytest.mark.parametrize("path", [PATH, f"{PATH}/", f"/mr{PATH}"])
def test_one_event_in_json(
    client: FlaskClient, drainer: Drainer, session: Session, path: str
) -> None:
    answer = client.post(
        path,
        data=orjson.dumps(cloud_event(subject="s1", data={"user_id": "u1", "product_id": "p1"})),
        content_type=f"{SINGLE}; charset=utf-8",
    )

    assert answer.status_code == 202
    found = only(drainer, session)
    assert body(answer) == {"event_id": str(found.event_id)}
    assert (found.event_type, found.source, found.entity_id) == ("product_view", "/shop", "s1")
    assert (found.user_id, found.product_id, found.message_id) == ("u1", "p1", "/shop 1")


def test_a_batch_is_judged_event_by_event(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    batch = [cloud_event(), 17, cloud_event(id=""), cloud_event(id="2")]

    answer = deliver(client, batch, BATCH)

    assert answer.status_code == 202
    assert [each["status"] for each in body(answer)["results"]] == [
        "ok",
        "rejected",
        "rejected",
        "ok",
    ]
    assert len(stored(drainer, session)) == body(answer)["events_created"] == 2


def test_an_empty_batch_is_done_at_once(client: FlaskClient) -> None:
    assert deliver(client, [], BATCH).status_code == 204


@pytest.mark.parametrize(
    ("headers", "data", "properties"),
    [
        ({"Content-Type": "application/json"}, '{"colour":"rot"}', {"colour": "rot"}),
        ({}, '{"colour":"rot"}', {"colour": "rot"}),
        ({}, "no JSON", {"data": "no JSON"}),
        ({"Content-Type": "text/plain"}, '{"a":1}', {"data": '{"a":1}'}),
        ({"Content-Type": "application/vnd.shop+json"}, "[1]", {"data": [1]}),
        ({"Content-Type": "image/png"}, b"\xff\x00", {"data_base64": "/wA="}),
        ({}, "", None),
    ],
)
def test_one_event_in_headers(
    client: FlaskClient,
    drainer: Drainer,
    session: Session,
    headers: dict[str, str],
    data: str | bytes,
    properties: Any,
) -> None:
    answer = client.post(PATH, data=data, headers={**IN_HEADERS, **headers})

    assert answer.status_code == 202
    found = only(drainer, session)
    assert (found.event_type, found.properties) == ("product_view", properties)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("caf%C3%A9 %E2%82%AC", "café €"),
        ('"u \\"1\\""', 'u "1"'),
        ("caf\u00c3\u00a9", "café"),
        ("caf\u00e9", "café"),
        ("%FF", "%FF"),
        ("100%", "100%"),
    ],
)
def test_headers_are_percent_encoded_or_as_they_are(
    client: FlaskClient, drainer: Drainer, session: Session, written: str, meant: str
) -> None:
    client.post(PATH, headers={**IN_HEADERS, "ce-subject": written})

    assert only(drainer, session).entity_id == meant


def test_source_and_id_name_an_event_in_each_form(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    same = cloud_event(type="product_view")

    answers = [
        deliver(client, same),
        deliver(client, [same, same], BATCH),
        client.post(PATH, headers=IN_HEADERS),
        deliver(client, {**same, "source": "/other"}),
    ]

    assert {answer.status_code for answer in answers} == {202}
    assert [each.message_id for each in stored(drainer, session)] == ["/other 1", "/shop 1"]


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"{", SINGLE, 400, "not_json"),
        (b"", SINGLE, 400, "not_json"),
        (b"17", SINGLE, 400, "invalid"),
        (b"{}", "application/json", 400, "invalid"),
        (b"{}", BATCH, 400, "not_a_list"),
        (b"[{}]", BATCH, 400, "all_rejected"),
        (orjson.dumps(cloud_event(specversion="2.0")), SINGLE, 400, "invalid"),
        (orjson.dumps(cloud_event(data="x" * 40_000)), SINGLE, 413, "too_large"),
        (b"x" * 6_000_000, SINGLE, 413, "request_too_large"),
        (b"", "application/cloudevents+avro", 415, "unsupported_media_type"),
        (b"", "application/cloudevents-batch+protobuf", 415, "unsupported_media_type"),
    ],
)
def test_what_cannot_be_taken_is_refused(
    client: FlaskClient, data: bytes, kind: str, status: int, code: str
) -> None:
    answer = client.post(PATH, data=data, content_type=kind)

    assert (answer.status_code, body(answer)["code"]) == (status, code)


def test_an_event_in_plain_json_is_known_too(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    answers = [client.post(PATH, json=cloud_event()), client.post(PATH, json=[cloud_event(id="2")])]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert len(stored(drainer, session)) == 2


def test_the_key_is_taken_from_where_senders_put_one(app_with: AppWith, write_key: str) -> None:
    client = app_with(require_key=True)
    basic = base64.b64encode(f"{write_key}:".encode()).decode()
    places: list[dict[str, Any]] = [
        {"headers": {"X-Write-Key": write_key}},
        {"headers": {"Authorization": f"Bearer {write_key}"}},
        {"headers": {"Authorization": f"Basic {basic}"}},
        {"query_string": {"access_token": write_key}},
        {"query_string": {"writeKey": write_key}},
    ]

    taken = [deliver(client, cloud_event(), **place).status_code for place in places]
    refused = [
        deliver(client, cloud_event()).status_code,
        deliver(client, cloud_event(), headers={"Authorization": "Bearer no"}).status_code,
    ]

    assert (taken, refused) == ([202] * 5, [401] * 2)


def test_over_its_limit_a_sender_is_told_when_to_come_again(
    client: FlaskClient, engine: Engine
) -> None:
    row, key = make_key(WRITE, "test", rate_limit=1)
    with transaction(engine) as session:
        session.add(row)

    answer = deliver(
        client, [cloud_event(), cloud_event(id="2")], BATCH, headers={"X-Write-Key": key}
    )

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0


def test_a_sender_gets_leave_to_send(client: FlaskClient) -> None:
    asked = client.options(
        PATH,
        headers={"WebHook-Request-Origin": "shop.example", "WebHook-Request-Rate": "120"},
    )
    of_browser = client.options(PATH, headers={"Origin": "https://shop.example"})

    assert asked.headers["WebHook-Allowed-Origin"] == "*"
    assert asked.headers["WebHook-Allowed-Rate"] == "*"
    assert "POST" in asked.headers["Allow"]
    assert "WebHook-Allowed-Origin" not in of_browser.headers
    assert of_browser.headers.getlist("Access-Control-Allow-Origin") == ["https://shop.example"]


def test_nothing_is_kept_while_collection_is_off(
    app_with: AppWith, drainer: Drainer, session: Session
) -> None:
    assert deliver(app_with(analytics_enabled=False), cloud_event()).status_code == 204
    assert stored(drainer, session) == []
