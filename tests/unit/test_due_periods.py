"""When a timed job is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.jobs import DAILY, PURGE, TIMETABLE, Due


@pytest.mark.parametrize(
    ("due", "now", "period"),
    [
        (DAILY, "2026-03-15T00:59:59+00:00", "2026-03-14"),
        (DAILY, "2026-03-15T01:00:00+00:00", "2026-03-15"),
        (DAILY, "2026-03-15T01:30:00+05:30", "2026-03-14"),
        (PURGE, "2026-03-15T01:59:59+00:00", "2026-03-08"),
        (PURGE, "2026-03-15T02:00:00+00:00", "2026-03-15"),
        (PURGE, "2026-03-21T23:00:00+00:00", "2026-03-15"),
        (PURGE, "2026-03-22T02:00:00+00:00", "2026-03-22"),
    ],
)
def test_the_newest_period_that_is_due(due: Due, now: str, period: str) -> None:
    assert due.last_period(datetime.fromisoformat(now)) == period


@given(
    st.sampled_from(TIMETABLE),
    st.integers(10**9, 4 * 10**9).map(lambda second: datetime.fromtimestamp(second, UTC)),
    st.integers(-14, 14),
)
def test_a_period_is_past_near_and_the_same_in_every_zone(
    due: Due, now: datetime, hours: int
) -> None:
    period = date.fromisoformat(due.last_period(now))
    begun = datetime.combine(period, due.at, UTC)

    assert begun <= now < begun + timedelta(days=7 if due.weekday is not None else 1)
    assert due.weekday in (None, period.weekday())
    elsewhere = now.astimezone(timezone(timedelta(hours=hours)))
    assert due.last_period(elsewhere) == period.isoformat()
