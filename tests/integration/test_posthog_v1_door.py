"""PostHog's newest protocol: a verdict for each event, by the id it came with."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from tasks.ingest import Drainer
from tests.builders import NOW, body
from tests.integration.test_posthog_door import V1, event, pack_zstd, stored

BATCH = {"created_at": NOW.isoformat(), "batch": [event(1), event(2)]}


@pytest.fixture
def headers(write_key: str) -> dict[str, str]:
    """Give what an SDK says of itself."""
    return {
        "Authorization": f"Bearer {write_key}",
        "PostHog-Sdk-Info": "posthog-python/7.91.1",
        "PostHog-Attempt": "1",
        "PostHog-Request-Id": "86c1d256-e879-4290-8171-3e3ae278a5c0",
        "PostHog-Request-Timestamp": NOW.isoformat(),
        "User-Agent": "posthog-python/7.91.1",
    }


def check_refused(answer: Any, status: int, error: str) -> None:
    """Check that an error has what the protocol says."""
    assert (answer.status_code, body(answer)["error"]) == (status, error)
    assert set(body(answer)) == {"error", "error_description", "error_uri"}


@pytest.mark.parametrize("path", [V1, f"{V1}/", f"/mr{V1}"])
def test_each_event_has_its_verdict(
    client: FlaskClient, drainer: Drainer, session: Session, headers: dict[str, str], path: str
) -> None:
    bad = event(3, properties="none")
    late = event(4, timestamp="2026-03-15T12:02:00Z")

    answer = client.post(path, json={"batch": [event(1), bad, 17, late]}, headers=headers)

    assert answer.status_code == 200
    results = body(answer)["results"]
    assert {name: each["result"] for name, each in results.items()} == {
        "event 1": "ok",
        "event 3": "drop",
        "event 4": "warning",
    }
    assert "properties" in results["event 3"]["details"]
    assert results["event 4"]["details"].startswith("timestamp_in_future")
    found = stored(drainer, session)
    assert [each.message_id for each in found] == ["event 1", "event 4"]
    assert {each.source for each in found} == {"server"}


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", pack_zstd)],
)
def test_a_packed_body_is_read(
    client: FlaskClient, headers: dict[str, str], encoding: str, pack: Any
) -> None:
    answer = client.post(
        V1, data=pack(orjson.dumps(BATCH)), headers={**headers, "Content-Encoding": encoding}
    )

    assert len(body(answer)["results"]) == 2


def test_another_encoding_is_refused_with_those_that_are_read(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    answer = client.post(V1, data=b"x", headers={**headers, "Content-Encoding": "br"})

    check_refused(answer, 415, "unsupported_encoding")
    assert answer.headers["Accept-Encoding"] == "gzip, deflate, zstd"


def test_the_options_of_an_event_count(
    client: FlaskClient, drainer: Drainer, session: Session, headers: dict[str, str]
) -> None:
    sent = event(session_id="s1", options={"process_person_profile": False})

    client.post(V1, json={"batch": [sent]}, headers=headers)

    (found,) = stored(drainer, session)
    assert (found.session_id, found.user_id, found.anonymous_id) == ("s1", None, "u1")


@pytest.mark.parametrize("authorization", [None, "Basic d2s6", "Bearer", "Bearer "])
def test_a_request_needs_a_key(
    client: FlaskClient, headers: dict[str, str], authorization: str | None
) -> None:
    del headers["Authorization"]
    if authorization is not None:
        headers["Authorization"] = authorization

    check_refused(client.post(V1, json=BATCH, headers=headers), 401, "key_required")


def test_an_unknown_key_is_refused(client: FlaskClient, headers: dict[str, str]) -> None:
    headers["Authorization"] = "Bearer phc_unknown"

    check_refused(client.post(V1, json=BATCH, headers=headers), 401, "invalid_key")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"[]", "no_batch"),
        (b"{}", "no_batch"),
        (b'{"batch":{}}', "no_batch"),
        (b'{"batch":[]}', "empty"),
    ],
)
def test_what_is_no_batch_is_refused(
    client: FlaskClient, headers: dict[str, str], data: bytes, error: str
) -> None:
    check_refused(client.post(V1, data=data, headers=headers), 400, error)


def test_ids_of_any_sort_are_no_error_of_ours(client: FlaskClient, headers: dict[str, str]) -> None:
    odd = [b'"\\ud800"', b"5", b"[1]", b"null", b'"' + b"x" * 300 + b'"', b'"a\\u0000b"']
    texts = [orjson.dumps(event(uuid="ID")).replace(b'"ID"', text) for text in odd]

    answer = client.post(V1, data=b'{"batch":[' + b",".join(texts) + b"]}", headers=headers)

    assert answer.status_code == 200
    results = body(answer)["results"]
    assert {each["result"] for each in results.values()} == {"drop"}
