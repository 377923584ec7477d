"""Input that nobody sends in good faith: refused in words, and the good beside it is stored.

What the intake refuses event by event is in tests/unit/intake; here the requests go all the way.
"""

from __future__ import annotations

import base64
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import EnvironBuilder, run_wsgi_app

from models.api_keys import ApiKey
from models.events import Event
from tasks.ingest import Drainer
from tests.builders import body, count_events
from tests.integration.test_door import URL, VIEW, check_problem

AppWith = Callable[..., FlaskClient]
Headers = dict[str, str]
EVENT = orjson.dumps(VIEW)
DEEP = 100_000
#: The largest bounds that the settings allow: the event's own size shall not be what saves us.
WIDE = {"max_event_bytes": 1_048_576, "max_request_bytes": 67_108_864}


def post_bytes(client: FlaskClient, data: bytes, **headers: str) -> Any:
    return client.post(URL, data=data, content_type="application/json", headers=headers)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(b'{"event_type":"a","value":' + b"9" * 5000 + b"}", id="5,000 digits"),
        pytest.param(b'{"event_type":"a","value":1e400}', id="1e400"),
        pytest.param(b'{"event_type":"a","properties":{"n":1e400}}', id="1e400 inside"),
        pytest.param(b'{"event_type":"a","value":Infinity}', id="Infinity"),
        pytest.param(b'{"event_type":"a","properties":{"n":NaN}}', id="NaN"),
        pytest.param(b'{"event_type":"a","properties":{"n":[-Infinity]}}', id="-Infinity"),
        pytest.param(rb'{"event_type":"a","context":{"t":"\udfff"}}', id="lone surrogate"),
        pytest.param(rb'{"event_type":"a","properties":{"t\u0000":1}}', id="NUL in a name"),
        pytest.param(rb'{"event_type":"a","items":[{"product_id":"\u0000"}]}', id="NUL in an id"),
        pytest.param(b'{"event_type":"a","occurred_at":"294277-01-01T00:00:00Z"}', id="294277"),
        pytest.param(b'{"event_type":"a","occurred_at":9224318016000}', id="294277 in seconds"),
        pytest.param(b'{"event_type":"a","occurred_at":-1e308}', id="before all time"),
        pytest.param(b'{"event_type":"a","occurred_at":"9999-12-31T23:59:59-23:59"}', id="9999"),
        pytest.param(
            b'{"event_type":"a","properties":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
            id="100,000 objects deep",
        ),
        pytest.param(
            b'{"event_type":"a","items":' + b"[" * DEEP + b"]" * DEEP + b"}",
            id="100,000 lists deep",
        ),
        pytest.param(b'{"event_type":"' + b"x" * 1_000_000 + b'"}', id="1 MB as a type"),
        pytest.param(b'{"event_type":"a","product_id":"' + b"x" * 3000 + b'"}', id="long id"),
    ],
)
def test_a_hostile_event_is_rejected_and_its_neighbours_are_stored(
    app_with: AppWith, drainer: Drainer, session: Session, event: bytes
) -> None:
    answer = post_bytes(app_with(**WIDE), b'{"events":[' + b",".join([EVENT, event, EVENT]) + b"]}")

    assert answer.status_code == 201, answer.text
    assert [result["status"] for result in body(answer)["results"]] == ["ok", "rejected", "ok"]
    assert body(answer)["results"][1]["detail"]
    drained = drainer.drain()
    assert (drained.stored, drained.dead) == (2, 0)
    assert count_events(session) == 2


@pytest.mark.parametrize(
    ("event", "column", "kept"),
    [
        (b'{"event_type":"a","event_type":"b"}', "event_type", "b"),
        (b'{"event_type":"a","properties":{"n":1,"n":2}}', "properties", {"n": 2}),
        (b'{"event_type":"a","value":-0}', "value", 0),
        (b'{"event_type":"a","properties":{"n":-0.0}}', "properties", {"n": 0}),
        (b'{"event_type":"a","properties":{"n":1e-99999}}', "properties", {"n": 0}),
        (b'{"event_type":"a","properties":{"n":5e-324}}', "properties", {"n": 5e-324}),
        (b'{"event_type":"a","properties":{"":""}}', "properties", {"": ""}),
        (b'{"event_type":"a","properties":{"__type__":"x"}}', "properties", {"__type__": "x"}),
        (b'{"event_type":"\xef\xbf\xbf"}', "event_type", "\uffff"),
    ],
)
def test_an_odd_event_within_the_rules_is_stored_as_it_is(
    client: FlaskClient,
    drainer: Drainer,
    session: Session,
    event: bytes,
    column: str,
    kept: Any,
) -> None:
    answer = post_bytes(client, event)

    assert answer.status_code == 201, answer.text
    assert drainer.drain().dead == 0
    assert session.scalars(select(getattr(Event, column))).one() == kept


def test_a_text_of_a_megabyte_is_stored_where_events_may_be_so_large(
    app_with: AppWith, drainer: Drainer, session: Session
) -> None:
    event = {"event_type": "a", "properties": {"text": "x" * 1_000_000}}

    answer = post_bytes(app_with(**WIDE), orjson.dumps(event))

    assert answer.status_code == 201
    drainer.drain()
    assert session.scalars(select(Event.properties)).one() == event["properties"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(EVENT.decode().encode("utf-16-le"), "not_json", id="UTF-16 without a mark"),
        pytest.param(EVENT.decode().encode("utf-32"), "not_utf8", id="UTF-32"),
        pytest.param(b"\xef\xbb\xbf", "not_json", id="only a mark"),
        pytest.param(b"\xef\xbb\xbf" * 2 + EVENT, "not_json", id="two marks"),
        pytest.param(b" \r\n\t", "not_json", id="only whitespace"),
        pytest.param(b"\0", "not_json", id="NUL"),
        pytest.param(b'{"event_type":"a"}\0', "not_an_event", id="NUL behind"),
        pytest.param(b'{"a":' * DEEP, "not_json", id="100,000 open objects"),
        pytest.param(b"9" * 1_000_000, "not_an_event", id="a long number"),
    ],
)
def test_a_body_that_cannot_be_read_is_400(client: FlaskClient, data: bytes, code: str) -> None:
    check_problem(post_bytes(client, data), 400, code)


def test_a_mark_in_front_of_the_body_is_left_out(client: FlaskClient, drainer: Drainer) -> None:
    marked = b"\xef\xbb\xbf" + EVENT

    plain = post_bytes(client, marked)
    packed = post_bytes(client, gzip.compress(marked), **{"Content-Encoding": "gzip"})

    assert (plain.status_code, packed.status_code) == (201, 201)
    assert drainer.drain().stored == 2


def bomb(size_mb: int) -> bytes:
    """Make a gzip stream of so many megabytes of spaces, without packing them all."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b" " * 1_048_576) + packer.flush(zlib.Z_FULL_FLUSH)
    return gzip.compress(b"", mtime=0)[:10] + block * size_mb


def test_a_gzip_bomb_of_a_gigabyte_costs_a_few_megabytes(client: FlaskClient) -> None:
    packed = bomb(1024)
    tracemalloc.start()
    try:
        answer = post_bytes(client, packed, **{"Content-Encoding": "gzip"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    check_problem(answer, 413, "request_too_large")
    assert peak < 32 * 1_048_576


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        pytest.param(gzip.compress(gzip.compress(EVENT)), 400, "not_utf8", id="nested"),
        pytest.param(gzip.compress(bomb(64)), 400, "not_utf8", id="a bomb in a bomb"),
        pytest.param(
            gzip.compress(b" " * 1_000_000) * 6, 413, "request_too_large", id="a bomb in parts"
        ),
        pytest.param(gzip.compress(b"") * 50_000, 400, "bad_encoding", id="50,000 empty parts"),
        pytest.param(gzip.compress(EVENT) + gzip.compress(b"")[:9], 400, "bad_encoding", id="cut"),
        pytest.param(gzip.compress(EVENT)[:-8] + b"\0" * 8, 400, "bad_encoding", id="checksum"),
    ],
)
def test_a_packed_body_is_no_way_around_the_bounds(
    client: FlaskClient, data: bytes, status: int, code: str
) -> None:
    check_problem(post_bytes(client, data, **{"Content-Encoding": "gzip"}), status, code)


def test_a_gzip_file_may_have_several_parts(client: FlaskClient, drainer: Drainer) -> None:
    parts = [gzip.compress(EVENT[:5]), gzip.compress(b""), gzip.compress(EVENT[5:])]

    answer = post_bytes(client, b"".join(parts), **{"Content-Encoding": "gzip"})

    assert answer.status_code == 201
    assert drainer.drain().stored == 1


@pytest.mark.parametrize(
    ("length", "statuses"),
    [
        # What comes is what counts: here a whole event, or a request with a missing field.
        (str(len(EVENT) + 10), {201, 400}),
        ("5", {400}),
        # Without a usable length there is no body, which the reading API calls 422.
        ("-1", {400, 422}),
        ("x", {400, 422}),
        ("9" * 30, {413}),
    ],
)
@pytest.mark.parametrize("path", [URL, "/api/keys"])
def test_a_length_that_is_not_the_bodys_is_answered(
    client: FlaskClient, admin: Headers, path: str, length: str, statuses: set[int]
) -> None:
    headers = {} if path == URL else admin
    environ = EnvironBuilder(
        path, method="POST", data=EVENT, content_type="application/json", headers=headers
    ).get_environ()
    environ["CONTENT_LENGTH"] = length

    chunks, line, _ = run_wsgi_app(client.application, environ, buffered=True)

    assert int(line[:3]) in statuses
    assert orjson.loads(b"".join(chunks))


def test_a_flood_of_headers_changes_nothing(client: FlaskClient) -> None:
    flood = {f"X-Flood-{n}": "x" * 100 for n in range(1000)}

    assert post_bytes(client, EVENT, **flood).status_code == 201
    assert client.get("/healthz", headers=flood).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer " + "x" * 100_000},
        {"Authorization": "Basic " + "x" * 100_000},
        {"Authorization": "Basic //79/Q=="},
        {"X-Write-Key": "\xff\xfe"},
        {"X-Write-Key": "x" * 100_000},
        {"Idempotency-Key": "x" * 100_000},
        {"X-Forwarded-For": ", " * 10_000},
        {"User-Agent": "x" * 100_000},
        {"Content-Encoding": "gzip, gzip"},
        {"X-Request-ID": "x" * 100_000},
        {"Origin": "x" * 100_000},
    ],
)
def test_an_odd_header_never_makes_a_500(
    app_with: AppWith, admin: Headers, headers: Headers
) -> None:
    client = app_with(trusted_proxies=1)

    sent = post_bytes(client, EVENT, **headers)
    read = client.get("/api/keys", headers={**admin, **headers})

    for answer in (sent, read):
        assert answer.status_code < 500
        if answer.status_code >= 400:
            assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"write"',
        b"9" * 5000,
        b"[" * DEEP,
        b'{"name":' * DEEP,
        b'{"kind":"write","name":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"kind":"write","name":NaN}',
        b'{"kind":"write","name":"a","rate_limit":1e400}',
        b'{"kind":"write","name":"a","rate_limit":' + b"9" * 5000 + b"}",
        b'{"kind":"write","name":"a","rate_limit":99999999999999999999}',
        b'{"kind":"write","name":"a","rate_limit":-0.5}',
        b'{"kind":"write","name":"a","expires_at":"294277-01-01T00:00:00Z"}',
        b'{"kind":"write","name":"a","expires_at":1e308}',
        rb'{"kind":"write","name":"\ud800"}',
        rb'{"kind":"write","name":"a\u0000"}',
        rb'{"kind":"write","name":"a","\ud800":1}',
        b'{"kind":"write","name":"' + b"x" * 1_000_000 + b'"}',
        b'{"kind":"write","name":"a","scopes":' + b'["read",' * 1000 + b'"read"' + b"]" * 1001,
        '{"kind":"write","name":"a"}'.encode("utf-16"),
        b"\xff\xfe\xfd",
    ],
    ids=lambda data: f"{data[:40]!r} {len(data)}",
)
def test_a_hostile_body_of_the_reading_api_is_refused_and_makes_nothing(
    client: FlaskClient, admin: Headers, session: Session, data: bytes
) -> None:
    answer = client.post("/api/keys", data=data, content_type="application/json", headers=admin)

    assert answer.status_code in (400, 422), answer.text
    assert answer.mimetype == "application/problem+json"
    assert body(answer)["detail"]
    assert session.scalar(select(func.count()).select_from(ApiKey)) == 1


def test_a_body_that_is_too_large_for_the_reading_api_is_413(
    client: FlaskClient, admin: Headers
) -> None:
    data = b'{"kind":"write","name":"' + b"x" * 17_000_000 + b'"}'

    answer = client.post("/api/keys", data=data, content_type="application/json", headers=admin)

    check_problem(answer, 413, "request_too_large")


def test_the_body_of_a_get_is_not_read(client: FlaskClient, admin: Headers) -> None:
    for data in (b"{", b"x" * 17_000_000):
        answer = client.get("/api/keys", data=data, content_type="application/json", headers=admin)
        assert answer.status_code == 200


def cursor_of(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize(
    "query",
    [
        "limit=" + "9" * 5000,
        "limit=1e400",
        "limit=NaN",
        "limit=%ff",
        "limit=-1",
        "limit=",
        "cursor=" + "x" * 100_000,
        "cursor=%F0%9F%98%80",
        "cursor=" + cursor_of("[" * 1000),
        "cursor=" + cursor_of('["soon","x"]'),
        "cursor=" + cursor_of('["2026-03-15","x"]'),
        "cursor=" + cursor_of('["2026-03-15T12:00:00Z",7]'),
        "cursor=" + cursor_of(r'["2026-03-15T12:00:00Z","\u0000"]'),
        "cursor=" + cursor_of(b"\xff\xfe"),
        "cursor=" + cursor_of("{}"),
    ],
    ids=lambda query: query[:60],
)
def test_a_hostile_query_is_refused(client: FlaskClient, admin: Headers, query: str) -> None:
    answer = client.get(f"/api/keys?{query}", headers=admin)

    assert answer.status_code in (400, 422), answer.text
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    [
        "x=" + "y" * 1_000_000,
        "&".join(f"a{n}=1" for n in range(20_000)),
        "cursor=" + cursor_of('["0001-01-01T00:00:00+14:00","x"]'),
        "cursor=" + cursor_of('["9999-12-31T23:59:59-14:00","x"]'),
    ],
    ids=lambda query: query[:60],
)
def test_a_long_or_far_query_is_no_fault(client: FlaskClient, admin: Headers, query: str) -> None:
    assert client.get(f"/api/keys?{query}", headers=admin).status_code in (200, 422)


@pytest.mark.parametrize("path", [URL + "%00", "/api/keys/%00", "/%00", "/api/keys?cursor=%00"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_address_with_nul_is_400(
    client: FlaskClient, admin: Headers, method: str, path: str
) -> None:
    check_problem(client.open(path, method=method, headers=admin), 400, "bad_request")
