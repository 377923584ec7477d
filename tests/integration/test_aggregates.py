"""Aggregates equal a recount, in any time zone, however late an event comes."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from models.daily_aggregates import DailyAggregate, DailyTotal
from models.daily_product_metrics import DailyProductMetrics
from models.database import transaction
from models.dirty_days import DirtyDay, read_dirty_days
from tasks.aggregate import aggregate_days, aggregate_dirty, aggregate_span, spans
from tests.builders import (
    DAY_MS,
    NOW,
    NOW_MS,
    SENDER,
    TODAY,
    body_of,
    empty,
    store,
    store_events,
    uuid7_at,
)

VIEW = {"event_type": "product_view", "product_id": "p"}
ZONES = [
    "UTC",
    "Asia/Kolkata",
    "Pacific/Chatham",
    "America/Los_Angeles",
    "Etc/GMT+12",
    "Pacific/Kiritimati",
]


def at(moment: str, **fields: Any) -> dict[str, Any]:
    return {**VIEW, "occurred_at": moment, **fields}


def totals(session: Session) -> dict[date, tuple[int, int, int]]:
    return {
        total.day: (total.events, total.unique_users, total.unique_anonymous)
        for total in session.scalars(select(DailyTotal).where(DailyTotal.events > 0))
    }


def everything(engine: Engine) -> tuple[Any, ...]:
    """Give all aggregates but the time they were computed at."""
    with transaction(engine) as session:
        return tuple(
            sorted(tuple(map(str, row)) for row in session.execute(text(f"SELECT {columns}")).all())
            for columns in (
                "day, events, unique_users, unique_anonymous, users_sketch, anonymous_sketch "
                "FROM daily_totals",
                "* FROM daily_aggregates",
                "* FROM daily_product_metrics",
                "* FROM weekly_product_metrics",
                "* FROM hourly_aggregates",
                "* FROM daily_values",
                "* FROM daily_sessions",
                "* FROM daily_recommendations",
                "* FROM daily_recommendation_credit",
            )
        )


_people = st.sampled_from([None, "a", "b"])
_moments = st.integers(-5 * DAY_MS, DAY_MS)
_events = st.fixed_dictionaries(
    {"event_type": st.sampled_from(["product_view", "purchase", "search"]), "ms": _moments},
    optional={
        "user_id": _people,
        "anonymous_id": _people,
        "source": st.sampled_from(["web", "ios"]),
        "product_id": st.sampled_from("pq"),
        # A client's own id may lie up to a day from its event.
        "drift_ms": st.integers(-DAY_MS, DAY_MS),
    },
)


def sent(event: dict[str, Any], number: int) -> dict[str, Any]:
    fields = {name: value for name, value in event.items() if name not in ("ms", "drift_ms")}
    fields["occurred_at"] = NOW_MS + event["ms"]
    if "drift_ms" in event:
        fields["event_id"] = uuid7_at(NOW_MS + event["ms"] + event["drift_ms"], number)
    return fields


@hypothesis_settings(max_examples=40)
@given(events=st.lists(_events, max_size=12), zone=st.sampled_from(ZONES))
def test_the_aggregates_of_any_events_are_those_counted_by_hand(
    engine: Engine, events: list[dict[str, Any]], zone: str
) -> None:
    empty(engine)
    if events:
        store_events(engine, *(sent(event, n) for n, event in enumerate(events)), zone=zone)
    aggregate_dirty(engine, zone=zone, now=NOW)

    by_day = defaultdict(list)
    for event in events:
        # More than a minute ahead, the event happened when it came.
        ms = event["ms"] if event["ms"] <= 60_000 else 0
        moment = datetime.fromtimestamp((NOW_MS + ms) / 1000, UTC)
        by_day[moment.astimezone(ZoneInfo(zone)).date()].append(event)
    with transaction(engine) as session:
        assert totals(session) == {
            day: (
                len(found),
                len({e["user_id"] for e in found if e.get("user_id")}),
                len({e.get("anonymous_id") for e in found if not e.get("user_id")} - {None}),
            )
            for day, found in by_day.items()
        }
        types = {
            (row.day, row.event_type, row.source): row.events
            for row in session.scalars(select(DailyAggregate))
        }
        assert types == Counter(
            (day, event["event_type"], event.get("source") or "")
            for day, found in by_day.items()
            for event in found
        )
        views = {
            (row.day, row.product_id): row.total_views
            for row in session.scalars(select(DailyProductMetrics))
            if row.total_views
        }
        assert views == Counter(
            (day, event["product_id"])
            for day, found in by_day.items()
            for event in found
            if event["event_type"] == "product_view" and "product_id" in event
        )
        assert read_dirty_days(session) == []


def test_aggregating_again_changes_nothing(engine: Engine) -> None:
    store_events(engine, *[at("2026-03-14T10:00:00Z", user_id=str(n % 3)) for n in range(5)])
    aggregate_dirty(engine, zone="UTC", now=NOW)
    before = everything(engine)

    again = aggregate_days(engine, [date(2026, 3, 14)], zone="UTC", now=NOW)

    assert everything(engine) == before
    assert (again.days, again.events) == (1, 5)


def test_a_late_event_marks_its_day_again(engine: Engine, session: Session) -> None:
    store_events(engine, at("2026-03-10T10:00:00Z"))
    aggregate_dirty(engine, zone="UTC", now=NOW)
    store_events(engine, at("2026-03-10T11:00:00Z"))

    assert read_dirty_days(session) == [date(2026, 3, 10)]
    aggregate_dirty(engine, zone="UTC", now=NOW)
    assert totals(session)[date(2026, 3, 10)][0] == 2


def test_a_duplicate_marks_no_day(engine: Engine, session: Session) -> None:
    body = body_of(at("2026-03-10T10:00:00Z", message_id="m"))
    store(engine, body)
    aggregate_dirty(engine, zone="UTC", now=NOW)

    store(engine, body)

    assert read_dirty_days(session) == []


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("Asia/Kolkata", "2026-03-14T18:29:59Z", date(2026, 3, 14)),
        ("Asia/Kolkata", "2026-03-14T18:30:00Z", date(2026, 3, 15)),
        ("Pacific/Chatham", "2026-03-14T10:14:59Z", date(2026, 3, 14)),
        ("Pacific/Chatham", "2026-03-14T10:15:00Z", date(2026, 3, 15)),
        ("America/Los_Angeles", "2026-03-15T06:59:59Z", date(2026, 3, 14)),
        ("Europe/Berlin", "2025-10-25T22:00:00Z", date(2025, 10, 26)),
        ("Europe/Berlin", "2025-10-26T22:59:59Z", date(2025, 10, 26)),
        ("Europe/Berlin", "2025-10-26T23:00:00Z", date(2025, 10, 27)),
    ],
)
def test_a_day_begins_at_midnight_of_the_reporting_zone(
    engine: Engine, session: Session, zone: str, moment: str, day: date
) -> None:
    store_events(engine, at(moment), zone=zone)

    aggregate_dirty(engine, zone=zone, now=NOW)

    assert totals(session) == {day: (1, 0, 0)}


def test_a_day_of_twenty_five_hours_is_counted_whole(engine: Engine, session: Session) -> None:
    start = datetime(2025, 10, 25, 22, 30, tzinfo=UTC)
    hours = [at((start + timedelta(hours=n)).isoformat()) for n in range(25)]
    store_events(engine, *hours, zone="Europe/Berlin")

    aggregate_dirty(engine, zone="Europe/Berlin", now=NOW)

    assert totals(session) == {date(2025, 10, 26): (25, 0, 0)}


@pytest.mark.parametrize("zone", ZONES)
def test_an_event_far_from_its_id_is_found_in_every_zone(
    engine: Engine, session: Session, zone: str
) -> None:
    # The id is a day ahead of an event whose clock is a day ahead of ours: both are accepted.
    received = datetime(2026, 3, 15, 11, 59, 59, tzinfo=UTC)
    received_ms = int(received.timestamp() * 1000)
    event = {
        **VIEW,
        "occurred_at": received_ms + DAY_MS,
        "event_id": uuid7_at(received_ms + 2 * DAY_MS),
    }
    sender = type(SENDER)(received_ms=received_ms)

    store(engine, body_of(event, sender=sender), zone=zone)
    aggregate_dirty(engine, zone=zone, now=NOW)

    assert sum(counted for counted, _, _ in totals(session).values()) == 1


def test_a_day_without_events_has_a_total_of_zero(engine: Engine, session: Session) -> None:
    aggregate_days(engine, [TODAY], zone="UTC", now=NOW)

    assert session.get_one(DailyTotal, TODAY).events == 0


def test_a_sealed_day_keeps_its_figures(engine: Engine, session: Session) -> None:
    store_events(engine, at("2026-03-14T10:00:00Z"))
    aggregate_dirty(engine, zone="UTC", now=NOW)
    with transaction(engine) as changing:
        changing.execute(text("UPDATE daily_totals SET sealed_at = now()"))
        changing.execute(text("DELETE FROM events"))
    before = everything(engine)

    aggregate_days(engine, [date(2026, 3, 14), TODAY], zone="UTC", now=NOW)

    kept = everything(engine)
    assert all(set(then) <= set(now) for then, now in zip(before, kept, strict=True))
    assert totals(session) == {date(2026, 3, 14): (1, 0, 0)}


def test_a_store_between_taking_the_marks_and_counting_is_not_lost(
    engine: Engine, session: Session
) -> None:
    day = date(2026, 3, 14)
    store_events(engine, at("2026-03-14T10:00:00Z"))
    with transaction(engine) as other:
        # Its transaction sees the marks of before the store, and counts what is there after.
        other.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        other.execute(select(DirtyDay.mark))
        store_events(engine, at("2026-03-14T11:00:00Z"))
        aggregate_span(other, day, day, zone="UTC", now=NOW)

    assert read_dirty_days(session) == [day]
    aggregate_dirty(engine, zone="UTC", now=NOW)
    assert totals(session)[day][0] == 2


@given(st.sets(st.integers(0, 60)), st.integers(1, 20))
def test_spans_cover_the_days_and_no_others(numbers: set[int], longest: int) -> None:
    days = sorted(TODAY + timedelta(days=n) for n in numbers)

    found = list(spans(days, longest))

    covered = [
        first + timedelta(days=n) for first, last in found for n in range((last - first).days + 1)
    ]
    assert covered == days
    assert all((last - first).days < longest for first, last in found)
