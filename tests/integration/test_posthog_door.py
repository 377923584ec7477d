"""The PostHog doors: what their SDKs send arrives as it was meant, answered as they read it."""

from __future__ import annotations

import base64
import gzip
import sys
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from models.api_keys import WRITE, make_key
from models.database import transaction
from models.events import Event
from models.identities import IdentityLink
from models.product_metrics import ProductMetrics
from tasks.ingest import Drainer
from tests.builders import NOW, NOW_MS, body, uuid7_at

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

AppWith = Callable[..., FlaskClient]
TIME = "2026-03-15T11:00:00.000Z"
V0_PATHS = ["/batch/", "/e/", "/i/v0/e/", "/capture/", "/track/", "/engage/"]
V1 = "/i/v1/analytics/events"
CHROME = "Mozilla/5.0 (Macintosh) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
PAGE = {"Origin": "https://shop.example", "User-Agent": CHROME}
SERVER = {"User-Agent": "posthog-python/7.91.1"}


def event(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Make an event of a known person with an id of its own."""
    return {
        "event": "Song Played",
        "uuid": f"event {number}",
        "distinct_id": "u1",
        "timestamp": TIME,
        "properties": {},
        **fields,
    }


def pack_zstd(data: bytes) -> bytes:
    """Pack as the newest SDKs may."""
    return zstd.compress(data)


def stored(drainer: Drainer, session: Session) -> list[Event]:
    """Store what is in the inbox and list all events by their message id."""
    drainer.drain()
    session.expire_all()
    return list(session.scalars(select(Event).order_by(Event.message_id, Event.event_id)))


def check_accepted(answer: Any) -> None:
    """Check the only answer that all SDKs take for a success."""
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert body(answer) == {"status": 1}


def check_refused(answer: Any, status: int, code: str) -> None:
    """Check that an error has what the SDKs read of one."""
    assert (answer.status_code, answer.mimetype) == (status, "application/json")
    assert body(answer)["code"] == code
    assert body(answer)["detail"]


def write_key_with(engine: Engine, **fields: Any) -> str:
    row, key = make_key(WRITE, "test", **fields)
    with transaction(engine) as session:
        session.add(row)
    return key


@pytest.mark.parametrize("prefix", ["", "/mr"])
@pytest.mark.parametrize("path", [*V0_PATHS, *(path.rstrip("/") for path in V0_PATHS)])
def test_each_path_takes_a_batch(
    client: FlaskClient,
    drainer: Drainer,
    session: Session,
    write_key: str,
    prefix: str,
    path: str,
) -> None:
    batch = {"api_key": write_key, "batch": [event()], "sent_at": NOW.isoformat()}

    check_accepted(client.post(prefix + path, json=batch, headers=SERVER))

    (found,) = stored(drainer, session)
    assert (found.event_type, found.user_id, found.message_id) == ("Song Played", "u1", "event 1")
    assert found.key_id is not None


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda key, one: {"api_key": key, "batch": [one]}, id="api_key"),
        pytest.param(lambda key, one: {"token": key, "batch": [one]}, id="token"),
        pytest.param(lambda key, one: {"batch": [{**one, "token": key}]}, id="of its events"),
        pytest.param(lambda key, one: [{**one, "token": key}, {**one, "$token": key}], id="list"),
        pytest.param(lambda key, one: {**one, "api_key": key}, id="one event"),
        pytest.param(
            lambda key, one: [{**one, "properties": {"token": key, "a": 1}}], id="properties"
        ),
    ],
)
def test_the_key_is_found_in_each_envelope_and_not_kept(
    app_with: AppWith,
    drainer: Drainer,
    session: Session,
    write_key: str,
    make: Callable[[str, dict[str, Any]], Any],
) -> None:
    client = app_with(require_key=True)

    check_accepted(client.post("/e/", json=make(write_key, event())))
    check_refused(client.post("/e/", json=make("wk_unknown", event())), 401, "invalid_key")

    (found,) = stored(drainer, session)
    assert write_key not in orjson.dumps([found.properties, found.context]).decode()


def test_events_with_different_keys_are_refused_together(
    client: FlaskClient, write_key: str
) -> None:
    events = [event(1, token=write_key), event(2, token="other")]

    check_refused(client.post("/e/", json=events), 401, "keys_differ")
    check_refused(client.post("/e/", json={"api_key": 5, "batch": []}), 401, "invalid_key")


TEXT = orjson.dumps({"batch": [event()], "sent_at": NOW.isoformat()})
BASE64 = base64.b64encode(TEXT).decode()


@pytest.mark.parametrize(
    ("data", "query", "headers"),
    [
        pytest.param(gzip.compress(TEXT), "", {}, id="gzip that says nothing"),
        pytest.param(
            gzip.compress(TEXT), "", {"Content-Type": "text/plain"}, id="gzip called text"
        ),
        pytest.param(gzip.compress(TEXT), "?compression=gzip-js", {}, id="gzip-js"),
        pytest.param(gzip.compress(TEXT), "", {"Content-Encoding": "gzip"}, id="gzip"),
        pytest.param(TEXT, "", {"Content-Encoding": "gzip"}, id="text called gzip"),
        pytest.param(zlib.compress(TEXT), "", {"Content-Encoding": "deflate"}, id="deflate"),
        pytest.param(pack_zstd(TEXT), "", {"Content-Encoding": "zstd"}, id="zstd"),
        pytest.param(
            b"data=" + quote(BASE64).encode(),
            "?compression=base64",
            {"Content-Type": "application/x-www-form-urlencoded"},
            id="form",
        ),
        pytest.param(b"ver=1&data=" + BASE64.encode(), "", {}, id="form with bare plus signs"),
        pytest.param(b"data=" + quote(TEXT).encode(), "", {}, id="form of JSON"),
        pytest.param(
            b"data=" + quote(base64.b64encode(gzip.compress(TEXT))).encode(),
            "",
            {},
            id="form of gzip",
        ),
        pytest.param(BASE64.encode(), "", {}, id="base64"),
        pytest.param(b"\xef\xbb\xbf" + TEXT, "", {}, id="byte order mark"),
    ],
)
def test_the_body_is_known_by_what_it_is(
    client: FlaskClient,
    drainer: Drainer,
    session: Session,
    data: bytes,
    query: str,
    headers: dict[str, str],
) -> None:
    check_accepted(client.post(f"/e/{query}", data=data, headers=headers))

    assert [found.message_id for found in stored(drainer, session)] == ["event 1"]


def test_an_old_page_may_send_with_get(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    sent_ms = NOW_MS + 3_600_000

    check_accepted(client.get("/e/", query_string={"data": BASE64, "_": str(sent_ms)}))

    assert [found.message_id for found in stored(drainer, session)] == ["event 1"]


def test_who_only_asks_for_the_head_of_an_answer_sends_nothing(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    data = base64.b64encode(orjson.dumps(event())).decode()

    answer = client.head("/e/", query_string={"data": data})

    assert (answer.status_code, answer.data) == (200, b"")
    assert stored(drainer, session) == []


@pytest.mark.parametrize(
    ("data", "query", "status", "code"),
    [
        (b"", "", 400, "empty"),
        (b"   ", "", 400, "empty"),
        (b"data=", "", 400, "empty"),
        (b"hello, world", "", 400, "bad_encoding"),
        (b"data=%%%", "", 400, "bad_encoding"),
        (b"{", "", 400, "not_json"),
        (b"17", "", 400, "not_json"),
        (b'{"batch":{}}', "", 400, "no_batch"),
        (b'{"batch":[]}', "", 400, "empty"),
        (b"[]", "", 400, "empty"),
        (b"N4Ig", "?compression=lz64", 400, "unsupported_encoding"),
        (gzip.compress(b"\0" * 6_000_000), "", 413, "request_too_large"),
        (base64.b64encode(gzip.compress(b"\0" * 6_000_000)), "", 413, "request_too_large"),
        (gzip.compress(TEXT)[:-9], "", 400, "bad_encoding"),
    ],
)
def test_what_cannot_be_read_is_refused_in_posthogs_words(
    client: FlaskClient, data: bytes, query: str, status: int, code: str
) -> None:
    check_refused(client.post(f"/e/{query}", data=data), status, code)


def test_a_bomb_of_zstd_is_refused(client: FlaskClient) -> None:
    bomb = pack_zstd(b"\0" * 50_000_000)

    answer = client.post("/batch/", data=bomb, headers={"Content-Encoding": "zstd"})

    check_refused(answer, 413, "request_too_large")


@pytest.mark.parametrize("name", ["sent_at", "sentAt"])
def test_a_wrong_clock_is_corrected_unless_the_sender_vouches_for_it(
    client: FlaskClient, drainer: Drainer, session: Session, name: str
) -> None:
    events = [
        event(1, timestamp="2026-03-15T12:59:00Z"),
        event(2, timestamp="2026-03-15T11:59:00Z", properties={"$ignore_sent_at": True}),
        {"event": "waited", "uuid": uuid7_at(NOW_MS), "distinct_id": "u1", "offset": 60_000},
    ]

    check_accepted(
        client.post("/e/", json={"batch": events, name: "2026-03-15T13:00:00Z"}, headers=PAGE)
    )

    found = {each.message_id: each for each in stored(drainer, session)}
    assert {each.occurred_at.isoformat() for each in found.values()} == {
        "2026-03-15T11:59:00+00:00"
    }
    assert [found[name].clock for name in ("event 1", "event 2", None)] == ["corrected", None, None]


def test_history_keeps_its_times(client: FlaskClient, drainer: Drainer, session: Session) -> None:
    batch = {
        "batch": [event(timestamp="2026-02-01T08:00:00Z")],
        "historical_migration": True,
        "sent_at": "2026-03-15T13:00:00Z",
    }

    check_accepted(client.post("/batch/", json=batch, headers=SERVER))

    (found,) = stored(drainer, session)
    assert (found.occurred_at.isoformat(), found.clock) == ("2026-02-01T08:00:00+00:00", None)


def test_a_shop_needs_no_configuration(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    device = uuid7_at(NOW_MS, 7)
    page = {"$lib": "web", "$device_id": device, "$session_id": "s1"}
    events = [
        event(1, event="$pageview", distinct_id=device, properties=page),
        event(
            2, event="Product Viewed", distinct_id=device, properties={**page, "product_id": "p1"}
        ),
        event(3, event="$identify", properties={**page, "$anon_distinct_id": device}),
        event(
            4,
            event="Order Completed",
            properties={**page, "products": [{"product_id": "p1", "quantity": 2, "price": 10}]},
        ),
    ]

    check_accepted(client.post("/e/", json={"batch": events}, headers=PAGE))

    found = stored(drainer, session)
    assert [each.event_type for each in found] == [
        "page_view",
        "product_view",
        "identify",
        "purchase",
    ]
    assert {(each.session_id, each.source) for each in found} == {("s1", "web")}
    link = session.scalars(select(IdentityLink)).one()
    assert (link.anonymous_id, link.user_id) == (device, "u1")
    metrics = session.get_one(ProductMetrics, "p1")
    assert (metrics.total_views, metrics.total_sales, int(metrics.total_revenue)) == (1, 2, 20)


def test_the_address_of_a_back_end_is_nobodys(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    client.post("/batch/", json={"batch": [event(1)]}, headers=SERVER)
    client.post(
        "/batch/", json={"batch": [event(2, properties={"$ip": "9.8.7.6"})]}, headers=SERVER
    )
    client.post("/e/", json={"batch": [event(3)]}, headers=PAGE)

    addresses = [each.ip_address for each in stored(drainer, session)]
    assert addresses == [None, "9.8.7.0", "127.0.0.0"]


def test_bots_are_known_by_what_they_say_they_are(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    agent = "Mozilla/5.0 AppleWebKit/537.36 (compatible; Googlebot/2.1)"
    client.post(
        "/batch/", json={"batch": [event(properties={"$raw_user_agent": agent})]}, headers=SERVER
    )

    (found,) = stored(drainer, session)
    assert found.excluded == "bot"
    assert found.properties is None


def test_a_batch_sent_again_is_counted_once(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    kept = uuid7_at(NOW_MS, 3)
    batch = {"batch": [event(1), event(uuid=kept)]}

    for _ in range(3):
        check_accepted(client.post("/e/", json=batch))

    found = stored(drainer, session)
    assert len(found) == 2
    assert kept in [str(each.event_id) for each in found]


def test_a_batch_of_an_older_sdk_is_counted_once_without_ids(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    one = event(uuid=None, properties={"$lib": "posthog-python", "$lib_version": "3.25.0"})
    sent = [{"batch": [one, one], "sentAt": f"2026-03-15T12:00:0{at}Z"} for at in range(2)]

    for batch in sent:
        check_accepted(client.post("/batch/", json=batch, headers=SERVER))

    assert len(stored(drainer, session)) == 2


def test_overload_is_told_with_503(
    engine: Engine, app_with: AppWith, client: FlaskClient, redis_client: redis.Redis
) -> None:
    key = write_key_with(engine, rate_limit=1)
    batch = {"api_key": key, "batch": [event(1), event(2)]}

    limited = client.post("/e/", json=batch)
    limited_v1 = client.post(V1, json=batch, headers={"Authorization": f"Bearer {key}"})
    redis_client.xadd("millrace:inbox", {"body": b"x" * 200_000})
    full = app_with(inbox_max_bytes=65_536).post("/e/", json={"batch": [event()]})

    check_refused(limited, 503, "rate_limited")
    assert (limited_v1.status_code, body(limited_v1)["error"]) == (503, "rate_limited")
    assert full.status_code == 503
    assert all("Retry-After" in answer.headers for answer in (limited, limited_v1, full))


def test_nothing_is_kept_while_collection_is_off(
    app_with: AppWith, drainer: Drainer, session: Session
) -> None:
    client = app_with(analytics_enabled=False)

    check_accepted(client.post("/e/", data=b"no JSON"))
    answer = client.post(V1, json={"batch": [event()]})

    assert body(answer) == {"results": {"event 1": {"result": "ok"}}}
    assert stored(drainer, session) == []


def test_a_page_of_another_site_may_send_and_read(client: FlaskClient) -> None:
    preflight = client.options(
        "/e/", headers={**PAGE, "Access-Control-Request-Headers": "x-posthog-new"}
    )
    answer = client.post("/e/", json={"batch": [event()]}, headers=PAGE)

    assert "x-posthog-new" in preflight.headers["Access-Control-Allow-Headers"]
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    # Older versions send with credentials, for which browsers accept no `*`.
    for each in (preflight, answer):
        assert each.headers.getlist("Access-Control-Allow-Origin") == [PAGE["Origin"]]
        assert each.headers.getlist("Access-Control-Allow-Credentials") == ["true"]
