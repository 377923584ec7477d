"""The door's answers: what is taken, what is refused and with which words."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import jwt
import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.events import Event
from settings import Settings
from tasks.ingest import Drainer
from tasks.store import StoreResult
from tests.builders import body

URL = "/api/v1/analytics/events/"
VIEW = {"event_type": "product_view", "product_id": "p1"}
Post = Callable[..., Any]
AppWith = Callable[..., FlaskClient]


def stored_event(drainer: Drainer, session: Session) -> Event:
    drainer.drain()
    return session.scalars(select(Event)).one()


def check_problem(answer: Any, status: int, code: str) -> None:
    """Check that an answer is a problem document that says so."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    document = orjson.loads(answer.data)
    assert (document["status"], document["code"]) == (status, code)
    assert document["title"]
    assert document["detail"]


def token(settings: Settings, **claims: Any) -> dict[str, str]:
    text = jwt.encode(claims, settings.jwt_secret, algorithm="HS256")
    return {"Authorization": f"Bearer {text}"}


def test_one_event_is_answered_with_its_id(post: Post) -> None:
    answer = post(VIEW)

    assert answer.status_code == 201
    assert list(body(answer)) == ["event_id"]


def test_many_events_are_answered_one_by_one(post: Post) -> None:
    answer = post(VIEW, {"event_type": ""}, VIEW)

    assert answer.status_code == 201
    assert body(answer)["events_created"] == 2
    assert [result["status"] for result in body(answer)["results"]] == ["ok", "rejected", "ok"]
    assert body(answer)["event_ids"] == [
        body(answer)["results"][0]["event_id"],
        body(answer)["results"][2]["event_id"],
    ]


def test_a_list_of_one_is_answered_as_a_list(client: FlaskClient) -> None:
    answer = client.post(URL, json={"events": [VIEW]})

    assert body(answer)["events_created"] == 1


def test_the_slash_at_the_end_may_be_left_out(client: FlaskClient) -> None:
    assert client.post(URL.rstrip("/"), json=VIEW).status_code == 201


def test_a_rejected_event_in_an_item_says_where(post: Post) -> None:
    answer = post({"event_type": "purchase", "items": [{"product_id": "p1", "quantity": -1}]})

    check_problem(answer, 422, "invalid")
    assert list(body(answer)["errors"]["items"]["0"]) == ["quantity"]


def test_nothing_acceptable_is_422_with_every_verdict(post: Post) -> None:
    answer = post({"event_type": ""}, {"event_type": "a", "items": [None]})

    check_problem(answer, 422, "all_rejected")
    assert [result["index"] for result in body(answer)["results"]] == [0, 1]


def test_a_rejected_event_is_stored_nowhere(post: Post, drainer: Drainer, session: Session) -> None:
    post(VIEW, {"event_type": "", "product_id": "bad"})

    assert stored_event(drainer, session).product_id == "p1"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b"[]", 400, "not_an_event"),
        (b'{"events": 1}', 400, "not_a_list"),
        (b'{"events": []}', 422, "empty"),
        ('{"event_type":"a"}'.encode("utf-16"), 400, "not_utf8"),
        (b'{"event_type":"a","occurred_at":"2001-01-01T00:00:00Z"}', 422, "too_old"),
        (b'{"event_type":"a","occurred_at":"2030-01-01T00:00:00Z"}', 422, "in_future"),
        (b'{"event_type":"a","x":"' + b"x" * 2048 + b'"}', 413, "too_large"),
        (
            b'{"events":[' + b",".join([b'{"event_type":"a"}'] * 1001) + b"]}",
            413,
            "too_many_events",
        ),
        (b'{"event_type":"a","x":"' + b"x" * 5_242_880 + b'"}', 413, "request_too_large"),
    ],
)
def test_a_body_that_cannot_be_taken_is_refused(
    client: FlaskClient, body: bytes, status: int, code: str
) -> None:
    answer = client.post(URL, data=body, content_type="application/json")

    check_problem(answer, status, code)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)],
)
def test_packed_bodies_are_unpacked(
    client: FlaskClient, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    answer = client.post(
        URL,
        data=pack(orjson.dumps(VIEW)),
        content_type="application/json",
        headers={"Content-Encoding": encoding},
    )

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (gzip.compress(b" " * 6_000_000, mtime=0), "gzip", 413, "request_too_large"),
        (gzip.compress(orjson.dumps(VIEW), mtime=0)[:-4], "gzip", 400, "bad_encoding"),
        (gzip.compress(orjson.dumps(VIEW), mtime=0) + b"more", "gzip", 400, "bad_encoding"),
        (orjson.dumps(VIEW), "gzip", 400, "bad_encoding"),
        (orjson.dumps(VIEW), "br", 415, "unsupported_encoding"),
        (b"", "gzip", 400, "bad_encoding"),
    ],
)
def test_a_packed_body_with_a_fault_is_refused(
    client: FlaskClient, body: bytes, encoding: str, status: int, code: str
) -> None:
    answer = client.post(
        URL,
        data=body,
        content_type="application/json",
        headers={"Content-Encoding": encoding},
    )

    check_problem(answer, status, code)


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain;charset=UTF-8", "application/x+json", ""]
)
def test_json_may_come_as_these_types(client: FlaskClient, kind: str) -> None:
    assert client.post(URL, data=orjson.dumps(VIEW), content_type=kind).status_code == 201


@pytest.mark.parametrize(
    "kind", ["text/html", "multipart/form-data; boundary=x", "application/xml"]
)
def test_other_types_are_refused(client: FlaskClient, kind: str) -> None:
    answer = client.post(URL, data=orjson.dumps(VIEW), content_type=kind)

    check_problem(answer, 415, "unsupported_media_type")


def test_a_body_of_unknown_length_is_bounded_too(client: FlaskClient) -> None:
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}

    answer = client.post(
        URL, data=b" " * 6_000_000, content_type="application/json", environ_overrides=environ
    )

    check_problem(answer, 413, "request_too_large")


def test_switched_off_it_answers_204_and_keeps_nothing(app_with: AppWith, drainer: Drainer) -> None:
    answer = app_with(analytics_enabled=False).post(URL, json=VIEW)

    assert (answer.status_code, answer.data) == (204, b"")
    assert drainer.drain().stored == 0


def test_a_valid_key_is_noted_with_the_event(
    client: FlaskClient, write_key: str, drainer: Drainer, session: Session
) -> None:
    answer = client.post(URL, json=VIEW, headers={"X-Write-Key": write_key})

    assert answer.status_code == 201
    assert stored_event(drainer, session).key_id


def test_a_key_may_come_as_basic_user_or_in_the_query(client: FlaskClient, write_key: str) -> None:
    assert client.post(URL, json=VIEW, auth=(write_key, "")).status_code == 201
    assert client.post(f"{URL}?writeKey={write_key}", json=VIEW).status_code == 201


def test_an_unknown_key_is_401(client: FlaskClient, write_key: str) -> None:
    answer = client.post(URL, json=VIEW, headers={"X-Write-Key": write_key + "x"})

    check_problem(answer, 401, "invalid_key")


def test_an_admin_token_is_no_write_key(client: FlaskClient, admin: dict[str, str]) -> None:
    key = admin["Authorization"].removeprefix("Bearer ")

    check_problem(client.post(URL, json=VIEW, headers={"X-Write-Key": key}), 401, "invalid_key")


def test_no_key_is_401_where_one_is_required(app_with: AppWith) -> None:
    check_problem(app_with(require_key=True).post(URL, json=VIEW), 401, "key_required")


def test_two_keys_never_suppress_each_others_events(
    client: FlaskClient, write_key: str, drainer: Drainer
) -> None:
    event = {**VIEW, "message_id": "same"}
    client.post(URL, json=event)
    client.post(URL, json=event, headers={"X-Write-Key": write_key})

    assert drainer.drain().stored == 2


def test_a_token_of_the_host_application_links_its_user(
    client: FlaskClient, settings: Settings, drainer: Drainer, session: Session
) -> None:
    event = {**VIEW, "user_id": "somebody else"}

    answer = client.post(URL, json=event, headers=token(settings, sub="user 7"))

    assert answer.status_code == 201
    assert stored_event(drainer, session).user_id == "user 7"


@pytest.mark.parametrize(
    "claims", [{"sub": "u", "exp": 1}, {"sub": 7}, {"sub": "a\0b"}, {"sub": "\ud800"}]
)
def test_a_token_that_is_not_valid_is_401(
    client: FlaskClient, settings: Settings, claims: dict[str, Any]
) -> None:
    answer = client.post(URL, json=VIEW, headers=token(settings, **claims))

    check_problem(answer, 401, "invalid_token")


def test_a_forged_token_is_401(client: FlaskClient) -> None:
    forged = jwt.encode({"sub": "u"}, "another secret of thirty-two bytes!", algorithm="HS256")

    answer = client.post(URL, json=VIEW, headers={"Authorization": f"Bearer {forged}"})

    check_problem(answer, 401, "invalid_token")


def test_without_a_secret_tokens_are_ignored(app_with: AppWith) -> None:
    answer = app_with(jwt_secret="").post(URL, json=VIEW, headers={"Authorization": "Bearer x"})

    assert answer.status_code == 201


def test_the_header_names_the_anonymous_visitor(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    client.post(URL, json=VIEW, headers={"X-Client-ANON-ID": "a1", "User-Agent": "Browser/1"})

    event = stored_event(drainer, session)
    assert (event.anonymous_id, event.user_agent) == ("a1", "Browser/1")


def test_a_header_that_is_too_long_is_refused(client: FlaskClient) -> None:
    answer = client.post(URL, json=VIEW, headers={"X-Client-ANON-ID": "x" * 201})

    check_problem(answer, 400, "bad_header")


def test_a_request_with_an_idempotency_key_is_stored_once(
    client: FlaskClient, drainer: Drainer
) -> None:
    for _ in range(2):
        client.post(URL, json={"events": [VIEW, VIEW]}, headers={"Idempotency-Key": "order-1"})

    assert drainer.drain() == StoreResult(stored=2, duplicate=2)


@pytest.mark.parametrize(
    ("mode", "proxies", "forwarded", "kept"),
    [
        ("truncated", 0, "198.51.100.9", "203.0.113.0"),
        ("full", 0, "198.51.100.9", "203.0.113.77"),
        ("off", 0, "", None),
        ("truncated", 1, "10.1.1.1, 198.51.100.9", "198.51.100.0"),
        ("full", 2, "10.1.1.1, 198.51.100.9, 192.0.2.1", "198.51.100.9"),
        ("truncated", 1, "2001:db8:1:2:3::4", "2001:db8:1::"),
        ("truncated", 1, "::ffff:198.51.100.9", "198.51.100.0"),
        ("full", 1, "not an address", None),
        ("full", 1, "", "203.0.113.77"),
    ],
)
def test_as_much_of_the_address_is_kept_as_the_setting_says(
    app_with: AppWith,
    drainer: Drainer,
    session: Session,
    mode: str,
    proxies: int,
    forwarded: str,
    kept: str | None,
) -> None:
    client = app_with(ip_mode=mode, trusted_proxies=proxies)

    client.post(
        URL,
        json=VIEW,
        headers={"X-Forwarded-For": forwarded},
        environ_base={"REMOTE_ADDR": "203.0.113.77"},
    )

    assert stored_event(drainer, session).ip_address == kept


def test_events_are_taken_while_the_database_is_away(app_with: AppWith, drainer: Drainer) -> None:
    client = app_with(database_url="postgresql://nobody@127.0.0.1:1/nowhere")

    answer = client.post(URL, json=VIEW)

    assert answer.status_code == 201
    assert drainer.drain().stored == 1


def test_keys_that_could_not_be_read_yet_are_no_reason_for_401(app_with: AppWith) -> None:
    client = app_with(database_url="postgresql://nobody@127.0.0.1:1/nowhere")

    answer = client.post(URL, json=VIEW, headers={"X-Write-Key": "wk_perhaps_valid"})

    check_problem(answer, 503, "keys_unknown")
    assert int(answer.headers["Retry-After"]) > 0
