"""What the Python client makes of what an application tells, as the rows that Millrace stores."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import millrace_client
import pytest
from millrace_client import Client, scope
from millrace_client.backoff import next_wait, read_retry_after
from millrace_client.fields import FIELD_NAMES
from sqlalchemy import text

import event_types
from intake.contract import EventSchema
from tests.clients.faulty import answers


def tell(client: Client, stored: Any) -> dict[str, Any]:
    """Send what a client has; give the only row."""
    assert client.flush()
    (row,) = stored()
    return row


def test_an_event_has_what_was_told_and_the_time_it_was_told_at(client_of, stored) -> None:
    client = client_of(context={"release": "1.2"})
    before = datetime.now(UTC) - timedelta(milliseconds=1)

    name = client.track(
        "note", {"plan": "pro"}, user_id=42, session_id="s1", context={"ab": "b"}, duration_ms=7
    )

    row = tell(client, stored)
    assert (row["event_id"], row["event_type"], row["source"]) == (name, "note", "server")
    assert (row["user_id"], row["session_id"], row["duration_ms"]) == ("42", "s1", 7)
    assert row["properties"] == {"plan": "pro"}
    assert row["context"] == {"release": "1.2", "ab": "b"}
    assert before <= row["occurred_at"] <= datetime.now(UTC)
    assert uuid.UUID(name).version == 7


def test_what_is_changed_afterwards_does_not_change_the_event(client_of, stored) -> None:
    client = client_of()
    properties = {"tags": ["a"]}

    client.track("note", properties)
    properties["tags"].append("b")

    assert tell(client, stored)["properties"] == {"tags": ["a"]}


class Colour(Enum):
    RED = "red"


@dataclass
class Size:
    width: int


PARIS = timezone(timedelta(hours=1))

VALUES = {
    "decimal": (Decimal("19.90"), 19.9),
    "whole decimal": (Decimal("20.00"), 20),
    "uuid": (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    "datetime": (datetime(2026, 1, 2, 3, tzinfo=PARIS), "2026-01-02T03:00:00+01:00"),
    "date": (date(2026, 1, 2), "2026-01-02"),
    "timedelta": (timedelta(minutes=2), 120.0),
    "set": ({"b", "a"}, ["a", "b"]),
    "mixed set": ({1}, [1]),
    "tuple": ((1, 2), [1, 2]),
    "enum": (Colour.RED, "red"),
    "dataclass": (Size(3), {"width": 3}),
    "mapping": (MappingProxyType({"a": Decimal(1)}), {"a": 1}),
    "path": (PurePosixPath("/a/b"), "/a/b"),
    "bytes": ("é".encode(), "é"),
    "generator": ((each for each in "ab"), ["a", "b"]),
    "values of a dictionary": ({"a": 1}.values(), [1]),
}


def test_the_values_of_real_applications_are_written_sensibly(client_of, stored) -> None:
    client = client_of()

    client.track("note", {name: given for name, (given, _) in VALUES.items()})

    written = tell(client, stored)["properties"]
    assert written == {name: expected for name, (_, expected) in VALUES.items()}


class Hostile:
    def __iter__(self) -> Iterator[Any]:
        raise OSError("the database is away")


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


UNWRITABLE = {
    "object": object(),
    "nan": math.nan,
    "infinity": math.inf,
    "nan decimal": Decimal("NaN"),
    "circle": _circle(),
    "half a surrogate pair": "\ud800",
    "binary": b"\xff",
    "key": {(1, 2): 3},
    "fails by itself": Hostile(),
}


def test_what_cannot_be_written_is_reported_and_its_batch_goes_on(
    client_of, stored, failures
) -> None:
    client = client_of(linger_s=10)

    for name, value in UNWRITABLE.items():
        assert client.track("note", {name: value}) is None
    client.track("login")

    assert tell(client, stored)["event_type"] == "login"
    assert failures.reasons == ["invalid"] * len(UNWRITABLE)
    assert client.stats.dropped == {"invalid": len(UNWRITABLE)}


def test_text_that_only_the_server_refuses_is_reported_too(client_of, stored, failures) -> None:
    client = client_of(linger_s=10)
    client.track("note", {"text": "a\0b"})
    client.track("note", {"text": "naïve ☕ \U0001f600"})

    assert not client.flush()

    assert [row["properties"]["text"] for row in stored()] == ["naïve ☕ \U0001f600"]
    assert failures.reasons == ["invalid"]


@pytest.mark.parametrize(
    ("event_type", "fields", "says"),
    [
        (None, {}, "event_type must be a text"),
        (b"login", {}, "event_type must be a text"),
        ("login", {"usre_id": "u1"}, "no field is named usre_id: use properties"),
        ("login", {"context": 5}, "TypeError"),
        ("note", {"properties": 5}, "TypeError"),
        ("note", {"items": 5}, "TypeError"),
        ("note", {"items": [1, "x" * 40_000]}, "may have 32768 bytes"),
    ],
    ids=["no type", "bytes", "typing error", "context", "properties", "items", "too large"],
)
def test_what_is_no_event_never_raises(event_type, fields, says, client_of, failures) -> None:
    client = client_of(context={"release": "1.2"})

    assert client.track(event_type, **fields) is None

    assert says in str(failures[0][0])


@pytest.mark.parametrize("products", [None, 5, [None], [object()], [{"price": "x", "quantity": 2}]])
def test_helpers_never_raise(products, client_of, failures) -> None:
    client = client_of()

    client.track_listing_views(products)
    client.track_purchase("o1", products)
    client.track_recommendation_shown(products)

    assert not client.flush() or failures
    assert len(failures) == 3


def test_before_send_changes_or_leaves_out(client_of, stored, failures) -> None:
    def change(event: dict[str, Any]) -> dict[str, Any] | None:
        event["properties"].pop("email", None)
        return None if event["event_type"] == "secret" else event

    client = client_of(before_send=change)
    client.track("secret", {"a": 1})
    client.track("note", {"a": 1, "email": "a@example.com"})

    assert tell(client, stored)["properties"] == {"a": 1}
    assert (client.stats.dropped, failures) == ({"before_send": 1}, [])


@pytest.mark.parametrize(
    ("given", "is_sent"),
    [({"event_type": "note"}, True), (["note"], False), ("note", False), (5, False)],
    ids=["no id", "list", "text", "number"],
)
def test_before_send_may_give_anything(given, is_sent, client_of, stored, failures) -> None:
    client = client_of(before_send=lambda event: given)

    name = client.track("login")

    client.flush()
    assert [row["event_id"] for row in stored()] == [name] * is_sent
    assert failures.reasons == ["invalid"] * (not is_sent)


def test_an_empty_id_is_none(client_of, stored) -> None:
    client = client_of()

    name = client.track("login", event_id="", message_id="")

    assert tell(client, stored)["event_id"] == name


def test_a_scope_gives_its_events_what_they_share(client_of, stored) -> None:
    client = client_of(context={"release": "1.2"})

    with scope(user_id="u1", anonymous_id=None, context={"ip": "192.0.2.0"}):
        with scope(session_id="s2", user_id="u2"):
            client.track("login")
        client.track("logout", session_id="s1")
    client.track("note")

    assert client.flush()
    rows = {row["event_type"]: row for row in stored()}
    assert (rows["login"]["user_id"], rows["login"]["session_id"]) == ("u2", "s2")
    assert (rows["logout"]["user_id"], rows["logout"]["session_id"]) == ("u1", "s1")
    assert rows["login"]["context"] == {"release": "1.2", "ip": "192.0.2.0"}
    assert rows["note"]["user_id"] is None


def test_a_scope_without_consent_lets_nothing_through(client_of, server, failures) -> None:
    client = client_of(sync_mode=True)

    with scope(lambda: None):
        assert client.track("login") is None

    assert client.stats.dropped == {"declined": 1}
    assert (server.seen, failures) == ([], [])


def test_scopes_of_tasks_do_not_mix(client_of, stored) -> None:
    client = client_of()

    async def visit(number: int) -> None:
        with scope(user_id=f"u{number}"):
            await asyncio.sleep(0)
            client.track("note", {"number": number})

    async def visit_all() -> None:
        await asyncio.gather(*(visit(number) for number in range(20)))

    asyncio.run(visit_all())

    assert client.flush()
    rows = stored()
    assert len(rows) == 20
    assert all(row["user_id"] == f"u{row['properties']['number']}" for row in rows)


def test_each_helper_moves_the_counter_it_is_named_for(client_of, stored, engine) -> None:
    client = client_of()
    client.track_product_view("p1", {"price": 20})
    client.track_product_click("p1", position=3)
    client.track_product_favorite("p1")
    client.track_product_unfavorite("p1")
    client.track_cart_addition("p1", 2, price=Decimal("19.99"))
    client.track_cart_removal("p1", 1)
    client.track_listing_views(["p0", "p1", {"id": "p2", "position": 9}], list_id="new")
    lines = [{"product_id": "p1", "quantity": 3, "price": Decimal("19.99")}]
    client.track_purchase("o1", lines, currency="EUR", value=65)
    client.track_refund("o1", [{"product_id": "p1", "quantity": 1, "value": 19.99}])
    client.track_rating("p1", 4)
    client.track_search("hat", results=0)
    client.track_recommendation_shown(["p1", "p2"], placement="cart")
    client.track_recommendation_clicked("p1", placement="cart", position=1)
    client.identify("u1", {"plan": "pro"}, anonymous_id="a1")
    client.page("Home", {"path": "/"})

    assert client.flush()

    rows = {row["event_type"]: row for row in stored()}
    assert len(rows) == 15
    assert set(rows) <= set(event_types.CATALOGUE)
    with engine.connect() as connection:
        query = text("SELECT * FROM product_metrics WHERE product_id = 'p1'")
        counted = dict(connection.execute(query).mappings().one())
    assert {name: value for name, value in counted.items() if name.startswith("total")} == {
        "total_impressions": 1,
        "total_views": 1,
        "total_clicks": 1,
        "total_favorites": 1,
        "total_cart_additions": 1,
        "total_cart_removals": 1,
        "total_sales": 2,
        "total_revenue": Decimal("39.98"),
    }
    assert (counted["rating_sum"], counted["rating_count"]) == (4, 1)
    assert (counted["position_sum"], counted["position_count"]) == (2, 1)
    assert [item["position"] for item in rows["product_list_view"]["items"]] == [1, 2, 9]
    assert (rows["add_to_cart"]["quantity"], rows["add_to_cart"]["value"]) == (2, Decimal("39.98"))
    assert (rows["purchase"]["entity_id"], rows["purchase"]["value"]) == ("o1", 65)
    assert rows["purchase"]["properties"] == {"order_id": "o1", "currency": "EUR"}
    assert (rows["identify"]["user_id"], rows["identify"]["anonymous_id"]) == ("u1", "a1")
    assert rows["identify"]["properties"] == {"plan": "pro"}
    assert rows["page_view"]["properties"] == {"name": "Home", "path": "/"}


def test_a_purchase_that_is_told_again_is_counted_once(client_of, stored, engine) -> None:
    placed = datetime.now(UTC) - timedelta(hours=2)
    lines = [{"product_id": "p1", "quantity": 2, "value": 30}]
    for _ in range(2):
        client = client_of()
        client.track_purchase("o1", lines, occurred_at=placed)
        client.track_purchase("o2", lines)
        client.track_refund("o2", lines, refund_id="r1")
        assert client.flush()
        rows = stored()

    assert sorted(row["message_id"] for row in rows) == [
        "purchase:o1",
        "purchase:o2",
        "refund:o2:r1",
    ]
    (dated,) = [row for row in rows if row["message_id"] == "purchase:o1"]
    assert abs(dated["occurred_at"] - placed) < timedelta(milliseconds=2)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT total_sales FROM product_metrics")) == 2


def test_a_long_order_goes_in_parts_is_one_order_and_is_counted_once(
    client_of, stored, engine
) -> None:
    lines = [
        {"product_id": f"product-{number:03}", "quantity": 2, "price": Decimal("9.95")}
        for number in range(40)
    ]
    for context in ({}, {"page": "x" * 400}):
        client = client_of()
        with scope(user_id="u1", context=context):
            assert client.track_purchase("o1", lines, value=796) == "purchase:o1"
            client.track_refund("o1", lines[:30], refund_id="r1")
        assert client.flush()
        rows = stored()

    types = Counter(row["event_type"] for row in rows)
    assert types == {"purchase": 1, "purchase_lines": 2, "refund": 1, "refund_lines": 1}
    assert {row["message_id"] for row in rows if "purchase" in row["event_type"]} == {
        "purchase:o1",
        "purchase:o1:2",
        "purchase:o1:3",
    }
    assert [row["value"] for row in rows if row["value"] is not None] == [796]
    assert {row["properties"]["order_id"] for row in rows} == {"o1"}
    assert {row["user_id"] for row in rows} == {"u1"}
    with engine.connect() as connection:
        query = text("SELECT sum(total_sales), sum(total_revenue) FROM product_metrics")
        assert connection.execute(query).one() == (20, Decimal("199.0"))


def test_an_order_may_be_told_without_lines(client_of, stored) -> None:
    client = client_of()

    client.track_purchase("o1", [], value=5)

    assert tell(client, stored)["value"] == 5


def test_a_long_list_is_told_in_several_events_that_the_server_takes(client_of, stored) -> None:
    client = client_of()

    with scope(user_id="u" * 100, context={"page": "x" * 200}):
        ids = client.track_listing_views([f"product-{number:05}" for number in range(500)])

    assert client.flush()
    items = [item for row in stored() for item in row["items"]]
    assert len(ids) > 1
    assert sorted(item["position"] for item in items) == list(range(1, 501))
    assert len({item["product_id"] for item in items}) == 500


def test_the_package_itself_is_a_client(server, write_key, stored, monkeypatch) -> None:
    monkeypatch.setattr("millrace_client.default._client", None)
    monkeypatch.setattr(millrace_client, "host", server.url)
    monkeypatch.setattr(millrace_client, "write_key", write_key)
    monkeypatch.setattr(millrace_client, "linger_s", 60)

    name = millrace_client.track_product_view("p1", user_id="u1")

    assert millrace_client.flush()
    assert [row["event_id"] for row in stored()] == [name]
    assert millrace_client.stats().sent == 1
    assert millrace_client.shutdown()


def test_settings_that_cannot_work_switch_the_package_off_and_say_so(monkeypatch, caplog) -> None:
    monkeypatch.setattr("millrace_client.default._client", None)
    monkeypatch.setattr(millrace_client, "host", "")

    assert millrace_client.track("login") is None

    assert "host must be an http:// or https:// address" in caplog.text


def test_an_event_without_write_key_sends_none(client_of, server) -> None:
    server.faults.append(answers(201))
    client = client_of(write_key=None)

    client.track("login")

    assert client.flush()
    assert "X-Write-Key" not in server.seen[0].headers


def test_the_fields_are_those_of_the_contract() -> None:
    assert FIELD_NAMES | {"event_type", "properties"} == set(EventSchema().fields)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("2", 2),
        ("0.5", 0.5),
        ("-3", 0),
        ("nan", 0),
        ("1e9", 60),
        ("Sun, 15 Mar 2026 12:00:30 GMT", 30),
        ("Sun, 15 Mar 2026 12:00:30", 30),
        ("Sun, 15 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 15 Mar 2999 11:00:00 GMT", 60),
    ],
)
def test_retry_after_is_read_within_its_cap(header, seconds) -> None:
    noon = datetime(2026, 3, 15, 12, tzinfo=UTC)

    assert read_retry_after(header, cap_s=60, now=noon) == seconds


def test_pauses_are_spread_and_grow_up_to_their_cap() -> None:
    def pauses(attempts: int) -> list[float]:
        return [next_wait(attempts, asked_s=None, base_s=1, cap_s=30).seconds for _ in range(200)]

    assert 0 <= min(pauses(1)) < 0.5 < max(pauses(1)) <= 2
    assert 15 < max(pauses(9)) <= 30
    assert max(pauses(10_000)) <= 30
    asked = next_wait(1, asked_s=5, base_s=1, cap_s=30)
    assert asked.asked
    assert 5 <= asked.seconds <= 6
