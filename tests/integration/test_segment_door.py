"""The Segment and RudderStack doors: what their SDKs send arrives as it was meant."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from models.api_keys import WRITE, make_key
from models.database import transaction
from models.events import Event
from models.identities import IdentityLink
from models.product_metrics import ProductMetrics
from tasks.ingest import Drainer
from tests.builders import body

AppWith = Callable[..., FlaskClient]
TIME = "2026-03-15T11:00:00.000Z"
CHROME = "Mozilla/5.0 (Macintosh) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
PAGE = {"Origin": "https://shop.example", "User-Agent": CHROME}
FORM = "application/x-www-form-urlencoded"
BACK_END = {"User-Agent": "analytics-python/2.4.0"}


def message(**fields: Any) -> dict[str, Any]:
    """Make a message of a known person; each has an id of its own content."""
    return {"type": "track", "event": "Song Played", "userId": "u1", "timestamp": TIME, **fields}


def send(client: FlaskClient, path: str, document: Any, **headers: str) -> Any:
    """Post a document as the SDKs do that call their JSON text."""
    return client.post(
        path, data=orjson.dumps(document), content_type="text/plain", headers=headers
    )


def stored(drainer: Drainer, session: Session) -> list[Event]:
    """Store what is in the inbox and list all events by their message id."""
    drainer.drain()
    session.expire_all()
    return list(session.scalars(select(Event).order_by(Event.message_id, Event.event_id)))


def write_key_with(engine: Engine, **fields: Any) -> str:
    """Make a write key with some of its fields."""
    row, key = make_key(WRITE, "test", **fields)
    with transaction(engine) as session:
        session.add(row)
    return key


def basic(key: str) -> str:
    """Write a key as the user name of a request."""
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def check_accepted(answer: Any) -> None:
    """Check the only answer that all SDKs take for a success."""
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert body(answer) == {"success": True}


def check_refused(answer: Any, status: int, code: str) -> None:
    """Check that an error has what the SDKs read of one."""
    assert (answer.status_code, answer.mimetype) == (status, "application/json")
    assert body(answer)["code"] == code
    assert body(answer)["message"]


@pytest.mark.parametrize("prefix", ["", "/mr"])
@pytest.mark.parametrize(
    ("path", "event_type"),
    [
        ("/v1/track", "Song Played"),
        ("/v1/t", "Song Played"),
        ("/v1/identify", "identify"),
        ("/v1/i/", "identify"),
        ("/v1/page/", "page_view"),
        ("/v1/p", "page_view"),
        ("/v1/screen", "page_view"),
        ("/v1/s", "page_view"),
        ("/v1/group", "group"),
        ("/v1/g", "group"),
        ("/v1/alias", "alias"),
        ("/v1/a", "alias"),
    ],
)
def test_each_path_takes_its_type(
    client: FlaskClient,
    drainer: Drainer,
    session: Session,
    prefix: str,
    path: str,
    event_type: str,
) -> None:
    fields = message(groupId="g1", previousId="a1")
    del fields["type"]

    check_accepted(send(client, prefix + path, fields))

    assert [event.event_type for event in stored(drainer, session)] == [event_type]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b/", "/v1/import", "/mr/beacon/v1/batch"])
def test_each_path_of_batches_takes_one(
    client: FlaskClient, drainer: Drainer, session: Session, path: str
) -> None:
    batch = [message(messageId="1"), message(messageId="2", type="page", name="Home")]

    check_accepted(send(client, path, {"batch": batch}))

    events = stored(drainer, session)
    assert [event.event_type for event in events] == ["Song Played", "page_view"]


def test_a_batch_from_a_back_end_is_of_its_people_and_not_of_its_machine(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    context = {"ip": "198.51.100.77", "userAgent": CHROME, "library": {"name": "analytics-python"}}
    batch = [message(messageId=str(n), context={"locale": "de"}) for n in range(2)]

    send(client, "/v1/batch", {"batch": batch, "context": context}, **BACK_END)

    for event in stored(drainer, session):
        assert (event.ip_address, event.user_agent) == ("198.51.100.0", CHROME)
        assert (event.source, event.context) == (
            "server",
            {**context, "locale": "de", "ip": "198.51.100.0"},
        )


def test_a_batch_of_several_people_has_no_address_of_one(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    ips = ("198.51.100.77", "203.0.113.9")
    batch = [message(messageId=ip, context={"ip": ip}) for ip in ips]

    send(client, "/v1/batch", {"batch": batch}, **BACK_END)

    events = stored(drainer, session)
    assert {event.ip_address for event in events} == {None}
    assert [(event.context or {})["ip"] for event in events] == ["198.51.100.0", "203.0.113.0"]


@pytest.mark.parametrize(
    ("headers", "context"),
    [(PAGE, {}), ({"User-Agent": "okhttp/4.12"}, {"os": {"name": "Android", "version": "15"}})],
)
def test_a_browser_or_an_app_has_the_address_of_its_request(
    client: FlaskClient, drainer: Drainer, session: Session, headers: Any, context: Any
) -> None:
    send(client, "/v1/t", message(context=context), **headers)

    (event,) = stored(drainer, session)
    assert (event.ip_address, event.user_agent) == ("127.0.0.0", headers["User-Agent"])


def test_bots_are_told_by_the_agent_in_the_context(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    context = {"userAgent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}

    send(client, "/v1/batch", {"batch": [message(context=context)]}, **BACK_END)

    assert [event.excluded for event in stored(drainer, session)] == ["bot"]


@pytest.mark.parametrize(
    "packed",
    [
        {},
        {"content_type": FORM},
        {"content_type": FORM, "headers": {"Content-Encoding": "gzip"}},
        {"content_type": "application/json", "headers": {"Content-Encoding": "gzip"}},
    ],
)  # fmt: skip
def test_gzip_is_known_whatever_its_label_says(
    client: FlaskClient, drainer: Drainer, session: Session, packed: dict[str, Any]
) -> None:
    data = gzip.compress(orjson.dumps({"batch": [message()]}))

    check_accepted(client.post("/v1/batch", data=data, **packed))

    assert len(stored(drainer, session)) == 1


def test_the_source_of_a_key_goes_before_what_a_library_lets_guess(
    client: FlaskClient, engine: Engine, drainer: Drainer, session: Session
) -> None:
    key = write_key_with(engine, source="kiosk")

    send(client, "/v1/t", {**message(channel="web"), "writeKey": key})

    assert [event.source for event in stored(drainer, session)] == ["kiosk"]


def test_a_shop_counts_with_no_configuration(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    lines = [
        {"product_id": "p1", "quantity": 2, "price": 10},
        {"product_id": "p2", "quantity": 1, "price": "7.50"},
    ]
    happened = [
        ("Product List Viewed", {"list_id": "l1", "products": lines}),
        ("Product Clicked", {"product_id": "p1", "position": 1}),
        ("Product Viewed", {"product_id": "p1", "price": 10, "currency": "EUR"}),
        ("Product Added to Wishlist", {"product_id": "p1"}),
        ("Product Added", {"product_id": "p1", "quantity": 2, "price": 10}),
        ("Product Removed", {"sku": "p1"}),
        ("Order Completed", {"order_id": "o1", "revenue": 30, "products": lines}),
        ("Order Refunded", {"order_id": "o1", "products": [{**lines[0], "quantity": 1}]}),
        ("Products Searched", {"query": "mug"}),
    ]
    batch = [message(event=event, properties=properties) for event, properties in happened]

    check_accepted(send(client, "/v1/batch", {"batch": batch}))
    check_accepted(send(client, "/v1/batch", {"batch": batch}))

    assert len(stored(drainer, session)) == 9
    mug = session.get_one(ProductMetrics, "p1")
    assert (mug.total_impressions, mug.position_sum, mug.total_clicks, mug.total_views) == (
        1,
        1,
        1,
        1,
    )
    assert (mug.total_favorites, mug.total_cart_additions, mug.total_cart_removals) == (1, 1, 1)
    assert mug.total_sales == 1
    assert mug.total_revenue == 10
    assert session.get_one(ProductMetrics, "p2").total_revenue == 7.5


def test_identify_and_alias_link_a_person(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    batch = [
        message(type="identify", anonymousId="a1", userId="u1", traits={"plan": "pro"}),
        message(type="alias", previousId="a2", userId="u1"),
    ]

    send(client, "/v1/batch", {"batch": batch})

    drainer.drain()
    links = {link.anonymous_id: link.user_id for link in session.scalars(select(IdentityLink))}
    assert links == {"a1": "u1", "a2": "u1"}


def test_a_wrong_clock_is_put_right_unless_the_caller_named_the_time(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    # The device is two hours behind: what it calls 09:30 happened at 11:30.
    batch = [
        message(messageId="device", timestamp="2026-03-15T09:30:00Z"),
        message(
            messageId="named",
            timestamp="2026-03-15T09:30:00Z",
            originalTimestamp="2026-03-15T09:59:00Z",
        ),
    ]

    send(client, "/v1/batch", {"batch": batch, "sentAt": "2026-03-15T10:00:00Z"}, **BACK_END)

    device, named = stored(drainer, session)
    assert (device.occurred_at.isoformat(), device.clock) == (
        "2026-03-15T11:30:00+00:00",
        "corrected",
    )
    assert (named.occurred_at.isoformat(), named.clock) == ("2026-03-15T09:30:00+00:00", None)
    assert device.sent_at is not None
