"""PostHog's events become events of the contract."""

from __future__ import annotations

from typing import Any

import pytest

from intake.dialects.content import ContentNames
from intake.dialects.posthog import from_v1, translate
from intake.rows import Rejected
from tests.builders import NOW_MS, uuid7_at

TIME = "2026-03-15T11:00:00.000Z"
DEVICE = "01a1ff18-c3f2-78e1-a09e-a789763e9805"


def event(name: str = "Song Played", **fields: Any) -> dict[str, Any]:
    """Make an event of PostHog's with an id and a time."""
    return {"event": name, "uuid": "e1", "distinct_id": "u1", "timestamp": TIME, **fields}


def read(message: Any) -> dict[str, Any]:
    return translate(message, came_ms=NOW_MS)


def people(message: Any) -> tuple[Any, Any]:
    found = read(message)
    return found.get("user_id"), found.get("anonymous_id")


def test_an_event_of_a_back_end() -> None:
    properties = {"plays": 3, "$lib": "posthog-python", "$lib_version": "7.91.1", "$ip": "1.2.3.4"}

    assert read(event(properties=properties)) == {
        "event_type": "Song Played",
        "message_id": "e1",
        "user_id": "u1",
        "occurred_at": TIME,
        "source": "server",
        "properties": {"plays": 3},
        "context": {"ip": "1.2.3.4", "library": {"name": "posthog-python", "version": "7.91.1"}},
    }


def test_an_event_of_a_page() -> None:
    found = read(
        {
            "event": "$pageview",
            "uuid": DEVICE,
            "timestamp": TIME,
            "properties": {
                "distinct_id": DEVICE,
                "$device_id": DEVICE,
                "$session_id": "s1",
                "$device_type": "Desktop",
                "$lib": "web",
                "$raw_user_agent": "Mozilla/5.0",
                "$current_url": "https://shop.example/a?b=1",
                "$pathname": "/a",
                "$referrer": "$direct",
                "title": "Shop",
                "token": "wk_1",
            },
        }
    )

    assert found == {
        "event_type": "$pageview",
        "message_id": DEVICE,
        "anonymous_id": DEVICE,
        "session_id": "s1",
        "device_type": "desktop",
        "source": "web",
        "context": {"userAgent": "Mozilla/5.0", "library": {"name": "web"}},
        "occurred_at": TIME,
        "properties": {
            "url": "https://shop.example/a?b=1",
            "path": "/a",
            "$current_url": "https://shop.example/a?b=1",
            "$pathname": "/a",
            "$referrer": "$direct",
            "title": "Shop",
        },
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("u1", None)),
        ({"properties": {"$device_id": "d1"}}, ("u1", "d1")),
        ({"properties": {"$device_id": "u1"}}, (None, "u1")),
        ({"properties": {"$device_id": "d1", "$is_identified": False}}, (None, "u1")),
        ({"properties": {"$user_state": "anonymous"}}, (None, "u1")),
        ({"properties": {"$process_person_profile": False}}, (None, "u1")),
        (
            {"properties": {"$process_person_profile": False, "$is_identified": True}},
            ("u1", None),
        ),
        ({"distinct_id": None, "$distinct_id": "u2"}, ("u2", None)),
        ({"distinct_id": "", "properties": {"distinct_id": "u3"}}, ("u3", None)),
        ({"distinct_id": 23}, ("23", None)),
        ({"distinct_id": 23.5}, ("23.5", None)),
        ({"distinct_id": {"b": 1, "a": "x"}}, ('{"a":"x","b":1}', None)),
        ({"distinct_id": "x" * 300}, ("x" * 200, None)),
        ({"distinct_id": "$posthog_cookieless"}, (None, None)),
    ],
)
def test_a_distinct_id_is_a_user_or_an_anonymous_one(
    fields: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    assert people(event(**fields)) == expected


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"$anon_distinct_id": "a1", "$device_id": "d1"}, ("u1", "a1")),
        ({"$device_id": "d1"}, ("u1", "d1")),
        ({"$anon_distinct_id": "u1"}, ("u1", None)),
        ({}, ("u1", None)),
    ],
)
def test_identify_links_the_anonymous_id(
    properties: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    assert people(event("$identify", properties=properties)) == expected


@pytest.mark.parametrize(
    ("distinct_id", "alias", "lib", "expected"),
    [
        ("user-2", "anon-2", "posthog-node", ("user-2", "anon-2")),
        ("anon-2", "user-2", "posthog-python", ("user-2", "anon-2")),
        (DEVICE, "user-2", "web", ("user-2", DEVICE)),
        ("user-2", DEVICE, "posthog-python", ("user-2", DEVICE)),
    ],
)
def test_an_alias_links_the_two_ids(
    distinct_id: str, alias: str, lib: str, expected: tuple[str, str]
) -> None:
    properties = {"distinct_id": distinct_id, "alias": alias, "$lib": lib}

    assert people(event("$create_alias", distinct_id=distinct_id, properties=properties)) == (
        expected
    )


@pytest.mark.parametrize("made_up", ["$Company_c5", DEVICE])
def test_a_group_is_what_the_event_is_about_and_no_person(made_up: str) -> None:
    properties = {"$group_type": "Company", "$group_key": "c5", "$group_set": {"name": "X"}}

    found = read(event("$groupidentify", distinct_id=made_up, properties=properties))

    assert (found["entity_type"], found["entity_id"]) == ("company", "c5")
    assert "user_id" not in found


def test_traits_are_properties_as_in_posthog() -> None:
    found = read(event("$set", **{"$set": {"plan": "free"}, "$set_once": {}}))

    assert found["properties"] == {"$set": {"plan": "free"}}


@pytest.mark.parametrize(
    ("properties", "source"),
    [
        ({"$lib": "web"}, "web"),
        ({"$lib": "posthog-ios"}, "ios"),
        ({"$lib": "posthog-flutter", "$os": "Android"}, "android"),
        ({"$lib": "posthog-react-native", "$os": "iOS"}, "ios"),
        ({"$lib": "posthog-react-native", "$os": "Windows"}, None),
        ({"$lib": "posthog-go"}, "server"),
        ({"$is_server": True}, "server"),
        ({"$lib": ["web"]}, None),
        ({}, None),
    ],
)
def test_the_library_tells_the_source(properties: dict[str, Any], source: str | None) -> None:
    assert read(event(properties=properties)).get("source") == source


def test_products_become_items() -> None:
    properties = {
        "order_id": "o1",
        "revenue": 30,
        "products": [{"product_id": "p1", "quantity": 2, "price": 10}, {"sku": 7, "price": "9.5"}],
    }

    found = read(event("Order Completed", properties=properties))

    assert [(item["product_id"], item["value"]) for item in found["items"]] == [
        ("p1", 20.0),
        ("7", 9.5),
    ]
    assert found["properties"] == {"order_id": "o1", "revenue": 30}


def test_leaving_a_page_takes_its_time() -> None:
    found = read(event("$pageleave", properties={"$prev_pageview_duration": 5.087}))

    assert found["duration_ms"] == 5087


def test_an_event_that_waited_happened_before_it_came() -> None:
    recent = uuid7_at(NOW_MS - 60_500)

    assert read({"event": "a", "distinct_id": "u", "offset": 60_000})["occurred_at"] == (
        NOW_MS - 60_000
    )
    assert read({"event": "a", "distinct_id": "u", "offset": 60_000, "uuid": recent}) == {
        "event_type": "a",
        "message_id": recent,
        "user_id": "u",
        "occurred_at": NOW_MS - 60_000,
        "clock": "kept",
    }


def test_no_id_is_made_of_a_time_that_is_another_at_each_try() -> None:
    waited = {"event": "a", "distinct_id": "u", "offset": 60_000, "uuid": "e1"}

    assert "occurred_at" not in read(waited)


@pytest.mark.parametrize("asked", [True, "true", "1", 1])
def test_a_sender_may_vouch_for_its_clock(asked: Any) -> None:
    assert read(event(properties={"$ignore_sent_at": asked}))["clock"] == "kept"


def test_an_event_of_the_newer_protocol_takes_the_form_of_the_older() -> None:
    found = from_v1(
        event(
            session_id="s1",
            window_id="w1",
            options={"disable_skew_correction": True, "process_person_profile": False, "new": 1},
            properties={"a": 1},
        ),
        sdk="posthog-python/7.91.1",
    )

    assert found["properties"] == {
        "a": 1,
        "$lib": "posthog-python",
        "$lib_version": "7.91.1",
        "$ignore_sent_at": True,
        "$process_person_profile": False,
        "$session_id": "s1",
        "$window_id": "w1",
    }


@pytest.mark.parametrize(
    "message",
    [None, 5, "x", [], {"event": "a"}, event(properties=[1]), event("$create_alias")],
    ids=["null", "number", "text", "list", "nobody", "properties", "alias"],
)
def test_what_is_no_event_is_refused(message: Any) -> None:
    with pytest.raises(Rejected):
        read(message)
    with pytest.raises(Rejected):
        read(from_v1(message, sdk=""))


def test_an_event_without_an_id_is_named_by_what_it_says() -> None:
    bare = event(uuid=None, properties={"plays": 3})

    def named(*messages: Any) -> list[Any]:
        names = ContentNames()
        found = [translate(each, came_ms=NOW_MS, names=names) for each in messages]
        return [each.get("message_id") for each in found]

    twice = named(bare, bare)
    assert len(set(twice)) == 2
    assert named(bare, bare) == twice
    assert named({**bare, "properties": {"plays": 4}}) != twice[:1]
    # Its time would be another at the next try.
    assert named({**bare, "timestamp": None, "offset": 5}) == [None]
    assert named(event()) == ["e1"]


def test_an_older_page_that_sends_again_keeps_the_time_of_its_event() -> None:
    made_ms = NOW_MS - 20_000
    # The wait of the first try, though three tries have gone by.
    waited = {"event": "a", "distinct_id": "u", "offset": 2_000, "uuid": uuid7_at(made_ms)}

    def time_of(message: Any, sent_ms: int | None) -> Any:
        found = translate(message, came_ms=NOW_MS, sent_ms=sent_ms)
        return found["occurred_at"], found.get("clock")

    assert time_of(waited, NOW_MS) == (made_ms, None)
    # A clock that was put back meanwhile, or that nobody knows.
    assert time_of(waited, made_ms - 1) == (NOW_MS - 2_000, "kept")
    assert time_of(waited, None) == (NOW_MS - 2_000, "kept")
