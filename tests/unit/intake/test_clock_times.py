"""Wrong clocks and events: the time is corrected, the id is not, and both stay together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_ids import ID_AHEAD_MS, ID_BEHIND_MS, id_ms
from intake.request import note_sent
from intake.rows import Row
from tests.builders import DAY_MS, NOW_MS, SENDER, at, read, uuid7_at

HOUR_MS = 3_600_000


def row(skew_ms: int = 0, **fields: Any) -> Row:
    """Make the row of an event whose sender's clock is behind ours."""
    sender = replace(SENDER, sent_ms=NOW_MS - skew_ms, skew_ms=skew_ms)
    return read({"event_type": "a", **fields}, sender=sender).rows[0]


def test_the_time_of_a_wrong_clock_is_corrected_and_kept() -> None:
    found = row(HOUR_MS, occurred_at=NOW_MS - HOUR_MS - 5000)

    assert at(found.occurred_at) == NOW_MS - 5000
    assert at(found.original_at or "") == NOW_MS - HOUR_MS - 5000
    assert found.clock == "corrected"


def test_the_time_of_a_right_clock_is_kept_as_it_is() -> None:
    found = row(occurred_at=NOW_MS - 5000)

    assert at(found.occurred_at) == NOW_MS - 5000
    assert (found.original_at, found.clock) == (None, None)


def test_a_device_ahead_that_says_when_it_sent_is_corrected_and_another_is_clamped() -> None:
    ahead = NOW_MS + 2 * HOUR_MS

    corrected, clamped = row(-2 * HOUR_MS, occurred_at=ahead - 5000), row(occurred_at=ahead)

    assert (at(corrected.occurred_at), corrected.clock) == (NOW_MS - 5000, "corrected")
    assert (at(clamped.occurred_at), clamped.clock) == (NOW_MS, "clamped")
    assert at(clamped.original_at or "") == ahead


def test_a_clock_that_is_wrong_by_more_than_a_day_is_told_and_not_corrected() -> None:
    found = row(3 * DAY_MS, occurred_at=NOW_MS - 3 * DAY_MS)

    assert (at(found.occurred_at), found.clock) == (NOW_MS - 3 * DAY_MS, "wrong")


def test_an_event_without_a_time_of_its_own_happened_when_it_came() -> None:
    found = row(HOUR_MS)

    assert (at(found.occurred_at), found.clock) == (NOW_MS, None)


@pytest.mark.parametrize(
    "sent_at",
    [
        None,
        True,
        "",
        "soon",
        [],
        {},
        -1,
        0,
        1e300,
        float("nan"),
        "9" * 99,
        10**400,
        "\ud800",
        "9999-12-31T23:59:59-23:59",
    ],
    ids=repr,
)
def test_what_is_no_moment_says_nothing_of_a_clock(sent_at: Any) -> None:
    def never(device: str | None, sent_ms: int) -> int:
        raise AssertionError(sent_ms)

    assert note_sent(SENDER, sent_at, device="d", skew_of=never) == SENDER


_skews = st.one_of(
    st.integers(-3 * DAY_MS, 3 * DAY_MS),
    st.sampled_from([0, DAY_MS, -DAY_MS, DAY_MS + 1, 10**15, -(10**15)]),
)
_times = st.one_of(st.none(), st.integers(NOW_MS - 4 * DAY_MS, NOW_MS + 2 * DAY_MS))
_ids = st.one_of(
    st.sampled_from([None, "m1"]),
    st.integers(NOW_MS - 5 * DAY_MS, NOW_MS + 3 * DAY_MS).map(uuid7_at),
)


@given(first=_skews, second=_skews, occurred=_times, client_id=_ids)
def test_the_id_never_depends_on_the_clock_and_stays_near_the_time(
    first: int, second: int, occurred: int | None, client_id: str | None
) -> None:
    event = {"event_type": "a", "occurred_at": occurred, "message_id": client_id}
    readings = [
        read(event, sender=replace(SENDER, sent_ms=1, skew_ms=skew)) for skew in (first, second)
    ]

    rows = [found for reading in readings for found in reading.rows]

    if client_id is not None:
        assert len({found.event_id for found in rows}) <= 1
    for found in rows:
        apart_ms = id_ms(found.event_id) - at(found.occurred_at)
        assert id_ms(found.event_id) == 0 or -ID_BEHIND_MS <= apart_ms <= ID_AHEAD_MS
        assert at(found.occurred_at) <= NOW_MS + 60_000
