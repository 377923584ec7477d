"""Event ids: ordered by time, stable for a retry, and bounds for partitions."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_ids import (
    DAY_MS,
    first_id_of,
    id_day,
    id_ms,
    id_range_of,
    make_event_id,
    uuid7,
    uuid7_ms,
    uuid8,
)

times = st.integers(0, 2**48 - 1)
days = st.dates(date(1970, 1, 1), date(9999, 12, 1))


@given(times)
def test_a_uuid7_is_one_by_the_standard(time_ms: int) -> None:
    made = uuid.UUID(uuid7(time_ms))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert uuid7_ms(str(made)) == id_ms(str(made)) == time_ms


@given(times, st.text())
def test_a_uuid8_belongs_to_its_name_and_time(time_ms: int, name: str) -> None:
    made = uuid8(time_ms, name)

    assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (8, uuid.RFC_4122)
    assert made == uuid8(time_ms, name)
    assert id_ms(made) == time_ms
    assert uuid7_ms(made) is None


@given(times, times)
def test_ids_sort_by_their_time(one: int, other: int) -> None:
    assert (uuid7(one)[:13] < uuid8(other, "x")[:13]) == (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 36,
        "0b8f8f5e-2c1d-4e5f-9a6b-7c8d9e0f1a2b",
        "{019cf12f-1200-7000-8000-000000000001}",
        "İ" * 36,
        "019cf12f-1200-7000-c000-000000000001",
        "019cf12f_1200-7000-8000-000000000001",
        "019cf12f-1200-7000-8000-00000000000g",
        "019cf12f-1200-7000-8000-000000000001\n",
    ],
)  # fmt: skip
def test_what_is_no_uuid7_has_no_time(text: str) -> None:
    assert uuid7_ms(text) is None


@given(st.text(min_size=1), st.one_of(st.none(), st.integers(1, 2**47)), st.text())
def test_an_id_does_not_depend_on_when_it_arrives(
    client_id: str, occurred_ms: int | None, key_id: str
) -> None:
    made = {
        make_event_id(client_id, key_id=key_id, occurred_ms=occurred_ms, received_ms=received_ms)
        for received_ms in (1, 2**47)
    }

    assert len(made) == 1


@given(st.integers(0, 2**47), st.integers(-2 * DAY_MS, 2 * DAY_MS))
def test_a_uuid7_is_kept_within_a_day_of_its_event(time_ms: int, drift_ms: int) -> None:
    occurred_ms = max(1, time_ms + drift_ms)
    client_id = uuid7(time_ms)

    made = make_event_id(client_id, key_id="", occurred_ms=occurred_ms, received_ms=0)

    assert (made == client_id) == (abs(occurred_ms - time_ms) <= DAY_MS)


@given(days, st.integers(0, DAY_MS - 1))
def test_a_days_ids_lie_between_its_bounds(day: date, offset_ms: int) -> None:
    start_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    event_id = uuid8(max(1, start_ms + offset_ms), "x")

    assert first_id_of(day) <= event_id < first_id_of(day + timedelta(days=1))
    assert id_day(event_id) == day


def test_an_id_without_a_time_lies_below_every_day() -> None:
    event_id = uuid8(0, "x")

    assert id_day(event_id) is None
    assert event_id < first_id_of(date(1970, 1, 1))


@given(days.filter(lambda day: day.year < 9999))
def test_a_range_of_days_can_always_be_written(day: date) -> None:
    low, high = id_range_of(day, day)

    assert str(uuid.UUID(low)) == low < first_id_of(day + timedelta(days=1)) <= high
