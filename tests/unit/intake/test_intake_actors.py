"""Ids that name nobody: taken for none, and never linked to anybody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders import SENDER, read

PLACEHOLDERS = [
    "null", "NULL", " Null ", "undefined", "0", 0, -1, "none", "None", "NaN", "anonymous", "Guest",
    "unknown", "true", "False", "[object Object]", "(null)", " ", "\t\n",
    "00000000-0000-0000-0000-000000000000", "N/A", "nil",
]  # fmt: skip


@pytest.mark.parametrize("name", ["user_id", "anonymous_id"])
@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_is_no_id(placeholder: str | int, name: str) -> None:
    (row,) = read({"event_type": "page_view", name: placeholder, "session_id": "s"}).rows

    assert (row.user_id, row.anonymous_id, row.session_id) == (None, None, "s")


@pytest.mark.parametrize("name", ["user_id", "anonymous_id"])
@pytest.mark.parametrize("kind", ["identify", "login", "signed_up"])
def test_an_event_that_would_link_a_placeholder_is_rejected(kind: str, name: str) -> None:
    event = {"event_type": kind, "user_id": "u1", "anonymous_id": "a1", name: "undefined"}

    reading = read(event, {"event_type": kind, "user_id": "u1", "anonymous_id": "a1"})

    assert [result["status"] for result in reading.results] == ["rejected", "ok"]
    assert reading.results[0]["reason"] == "placeholder_id"


def test_placeholders_of_the_request_are_no_ids_either() -> None:
    sender = replace(SENDER, user_id="null", anonymous_id="undefined")

    (row,) = read({"event_type": "page_view"}, sender=sender).rows
    linking = read({"event_type": "login"}, sender=sender)

    assert (row.user_id, row.anonymous_id) == (None, None)
    assert linking.results[0]["reason"] == "placeholder_id"


@pytest.mark.parametrize("real", ["nullius", "00", "1", "guest7", "u-0", "nan@example.org"])
def test_what_only_looks_like_a_placeholder_is_an_id(real: str) -> None:
    (row,) = read({"event_type": "login", "user_id": real, "anonymous_id": real}).rows

    assert (row.user_id, row.anonymous_id) == (real, real)
