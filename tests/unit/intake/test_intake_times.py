"""When an event happened: what is accepted, corrected and rejected."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.moment import MomentError, format_ms, read_moment_ms
from intake.rows import RETENTION_MARGIN_DAYS
from tests.builders import DAY_MS, NOW_MS, RULES, read, uuid7_at


def verdict(**fields: Any) -> str:
    """Give the time of the stored row, or the reason of the rejection."""
    reading = read({"event_type": "a", **fields})
    return reading.rows[0].occurred_at if reading.rows else str(reading.rejected[0]["reason"])


@pytest.mark.parametrize(
    "given_time",
    [
        "2026-03-15T10:30:00Z",
        "2026-03-15T10:30:00",
        "2026-03-15T16:00:00+05:30",
        "2026-03-15 10:30:00.000",
        1773570600,
        1773570600.0,
        1773570600000,
    ],
)
def test_a_time_may_be_iso_text_or_unix_seconds_or_milliseconds(given_time: str | float) -> None:
    assert verdict(occurred_at=given_time) == "2026-03-15T10:30:00.000Z"


@pytest.mark.parametrize(
    "given_time", ["", "yesterday", "2026-13-01", "1969-12-31", -5, 0, 1e300, True, [], "9" * 50]
)
def test_what_is_no_time_is_rejected(given_time: Any) -> None:
    assert verdict(occurred_at=given_time) == "invalid"


def test_an_event_without_a_time_happened_when_it_came() -> None:
    assert verdict() == format_ms(NOW_MS)


def test_a_uuid7_says_when_its_event_happened() -> None:
    assert verdict(event_id=uuid7_at(NOW_MS - 5000)) == format_ms(NOW_MS - 5000)


def test_a_clock_that_runs_a_minute_ahead_is_believed() -> None:
    assert verdict(occurred_at=NOW_MS + 60_000) == format_ms(NOW_MS + 60_000)


def test_a_clock_that_runs_further_ahead_is_set_to_ours() -> None:
    assert verdict(occurred_at=NOW_MS + 60_001) == format_ms(NOW_MS)
    assert verdict(occurred_at=NOW_MS + DAY_MS) == format_ms(NOW_MS)


@pytest.mark.parametrize(
    "fields",
    [
        {"occurred_at": NOW_MS + DAY_MS + 1},
        {"occurred_at": "9999-12-31T23:59:59-23:59"},
        {"event_id": uuid7_at(2**48 - 1)},
    ],
)
def test_an_event_from_more_than_a_day_ahead_is_rejected(fields: dict[str, Any]) -> None:
    assert verdict(**fields) == "in_future"


def test_the_oldest_accepted_event_lies_within_the_retention() -> None:
    oldest = RULES.oldest_ms(NOW_MS)

    assert verdict(occurred_at=oldest) == format_ms(oldest)
    assert verdict(occurred_at=oldest - 1) == "too_old"
    assert NOW_MS - oldest <= (RULES.retention_days - RETENTION_MARGIN_DAYS + 1) * DAY_MS


def test_a_rejection_names_the_field() -> None:
    (result,) = read({"event_type": "a", "occurred_at": "soon"}).results

    assert list(result["errors"]) == ["occurred_at"]
    assert "soon" in result["detail"]


@given(st.integers(100_000_000_000, 253_402_300_799_000))
def test_a_written_time_is_read_back(time_ms: int) -> None:
    assert read_moment_ms(format_ms(time_ms)) == time_ms


@given(st.one_of(st.text(), st.integers(), st.floats()))
def test_anything_else_is_an_error_of_its_own(value: str | float) -> None:
    with contextlib.suppress(MomentError):
        assert read_moment_ms(value) >= 1
