"""Segment's and RudderStack's messages become events of the contract."""

from __future__ import annotations

from typing import Any

import pytest

from intake.dialects.segment import translate
from intake.rows import Rejected

_WEB = {"library": {"name": "analytics.js", "version": "next-1.84.3"}}


def message(**fields: Any) -> dict[str, Any]:
    """Make a message of a known person with an id and a time."""
    return {
        "type": "track",
        "event": "Song Played",
        "messageId": "m1",
        "userId": "u1",
        "timestamp": "2026-03-15T11:00:00Z",
        **fields,
    }


def fields_of(event: dict[str, Any]) -> dict[str, Any]:
    """Give what an event says."""
    return {name: value for name, value in event.items() if value is not None}


def test_a_track_message_becomes_an_event() -> None:
    event = translate(message(anonymousId="a1", properties={"plays": 3}, context=_WEB))

    assert fields_of(event) == {
        "event_type": "Song Played",
        "message_id": "m1",
        "user_id": "u1",
        "anonymous_id": "a1",
        "occurred_at": "2026-03-15T11:00:00Z",
        "source": "web",
        "properties": {"plays": 3},
        "context": _WEB,
    }


def test_numbers_become_texts_and_null_is_none() -> None:
    event = translate(message(userId=17, anonymousId=None, messageId=18.0, sentAt=None))

    assert (event["user_id"], event["anonymous_id"], event["message_id"]) == ("17", None, "18")


@pytest.mark.parametrize("anonymous", [None, ""])
def test_a_message_of_nobody_is_rejected(anonymous: Any) -> None:
    with pytest.raises(Rejected, match="userId or an anonymousId"):
        translate(message(userId=None, anonymousId=anonymous))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "invalid"),
        ([], "invalid"),
        ("track", "invalid"),
        ({}, "unknown_message"),
        ({"type": ["track"], "userId": "u1"}, "unknown_message"),
        ({"type": "merge", "userId": "u1"}, "unknown_message"),
        (message(event=None), "no_event_name"),
        (message(event=""), "no_event_name"),
        (message(type="group"), "no_group"),
        (message(type="alias"), "no_previous_id"),
        (message(type="alias", previousId="a1", userId=None, anonymousId="a2"), "no_previous_id"),
    ],
)
def test_what_is_no_message_is_rejected_with_its_reason(given: Any, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        translate(given)

    assert caught.value.reason == reason


def test_the_path_says_the_type_before_the_message() -> None:
    assert translate(message(type="track", name="Home"), kind="page")["event_type"] == "page_view"


@pytest.mark.parametrize("kind", ["page", "screen"])
def test_a_page_has_its_address_and_name_among_its_properties(kind: str) -> None:
    page = {"path": "/a", "url": "https://shop.example/a", "title": "A", "referrer": "", "x": 1}
    event = translate(
        message(
            type=kind,
            name="Home",
            category="Shop",
            properties={"path": "/b"},
            context={"page": page},
        )
    )

    assert event["event_type"] == "page_view"
    assert event["properties"] == {
        "name": "Home",
        "category": "Shop",
        "path": "/b",
        "url": "https://shop.example/a",
        "title": "A",
    }


def test_traits_are_read_where_either_family_puts_them_and_kept_once() -> None:
    context = {"traits": {"email": "a@example.com", "plan": "free"}, "locale": "en"}

    event = translate(message(type="identify", traits={"plan": "pro"}, context=context))

    assert event["event_type"] == "identify"
    assert event["properties"] == {"email": "a@example.com", "plan": "pro"}
    assert event["context"] == {"locale": "en"}


def test_a_group_is_the_entity_of_its_message() -> None:
    event = translate(message(type="group", groupId=7, traits={"name": "Initech"}))

    assert (event["entity_type"], event["entity_id"]) == ("group", "7")
    assert event["properties"] == {"groupId": "7", "name": "Initech"}


def test_an_alias_has_both_ids_of_the_person() -> None:
    event = translate(message(type="alias", previousId="a1", userId="u2", anonymousId="a9"))

    assert (event["event_type"], event["anonymous_id"], event["user_id"]) == ("alias", "a1", "u2")
    assert event["properties"] == {"previousId": "a1", "anonymousId": "a9"}


def test_what_a_batch_shares_is_merged_into_each_message() -> None:
    shared = {"ip": "198.51.100.7", "locale": "en"}

    assert translate(message(context={"locale": "de"}), context=shared)["context"] == {
        "ip": "198.51.100.7",
        "locale": "de",
    }
    assert translate(message(), context=shared)["context"] == shared
    assert "context" not in translate(message(), context="none")


def test_the_time_is_the_devices_unless_the_caller_named_one() -> None:
    segments = translate(message())
    rudders = translate(message(timestamp=None, originalTimestamp="2026-03-15T10:00:00Z"))
    named = translate(message(originalTimestamp="2026-03-15T11:30:00Z"))

    assert (segments["occurred_at"], "clock" in segments) == ("2026-03-15T11:00:00Z", False)
    assert (rudders["occurred_at"], "clock" in rudders) == ("2026-03-15T10:00:00Z", False)
    assert (named["occurred_at"], named["clock"]) == ("2026-03-15T11:00:00Z", "kept")


def test_a_message_without_an_id_is_named_by_its_content() -> None:
    def name(**fields: Any) -> str:
        event = translate(message(messageId=None, **fields))
        return str(event["message_id"])

    assert name() == name(sentAt="2026-03-15T12:00:00Z", _metadata={"a": 1}, integrations={"b": 1})
    assert name() != name(userId="u2")
    assert name(properties={"a": 1, "b": 2}) == name(properties={"b": 2, "a": 1})


def test_a_message_without_id_and_time_is_the_same_within_a_minute() -> None:
    def name(received_ms: int | None) -> str:
        event = translate(message(messageId=None, timestamp=None), received_ms=received_ms)
        return str(event["message_id"])

    assert name(60_000) == name(119_999)
    assert name(60_000) != name(120_000)
    assert name(None) == name(None)


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"context": _WEB}, "web"),
        ({"context": {"library": {"name": "RudderLabs JavaScript SDK"}}}, "web"),
        ({"context": {"library": {"name": "other"}}, "channel": "web"}, "web"),
        (
            {"context": {"library": {"name": "analytics-kotlin"}, "os": {"name": "Android"}}},
            "android",
        ),
        ({"context": {"os": {"name": "iPadOS"}}, "channel": "mobile"}, "ios"),
        ({"context": {"device": {"type": "ios"}}}, "ios"),
        ({"context": {"library": {"name": "analytics-python"}}}, "server"),
        ({"channel": "server"}, "server"),
        ({"context": {"library": "analytics.js", "os": ["x"], "device": 1}}, None),
        ({}, None),
    ],
)
def test_the_source_is_told_by_library_and_system(fields: Any, source: str | None) -> None:
    assert translate(message(**fields)).get("source") == source


@pytest.mark.parametrize(
    ("context", "device_type"),
    [
        ({"device": {"type": "Tablet"}}, "tablet"),
        ({"device": {"type": "ios", "model": "iPad13,4"}}, "tablet"),
        ({"device": {"type": "ios", "model": "iPhone15,2"}}, "mobile"),
        ({"device": {"type": "android", "model": "Pixel"}}, None),
        ({"userAgentData": {"mobile": True, "platform": "Android"}}, "mobile"),
        ({"userAgentData": {"mobile": False, "platform": "macOS"}}, "desktop"),
        ({"userAgentData": {"mobile": False, "platform": "Android"}}, None),
        ({"userAgentData": "desktop"}, None),
    ],
)
def test_the_kind_of_device_is_told_and_not_guessed(context: Any, device_type: str | None) -> None:
    assert translate(message(context=context)).get("device_type") == device_type


def test_rudderstacks_session_is_the_session() -> None:
    assert translate(message(context={"sessionId": 1795281133790}))["session_id"] == "1795281133790"
