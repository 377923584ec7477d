"""What is counted of a day beside its types and products: hours, values, sessions, people."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from cli.doctor.finding import ERROR, OK, Finding, Patient
from cli.doctor.services import check_database
from models import daily_values
from models.daily_aggregates import DailyAggregate, DailyTotal
from models.daily_recommendations import DailyRecommendations
from models.daily_sessions import DailySessions
from models.daily_values import DailyValue
from models.database import transaction
from models.hourly_aggregates import HourlyAggregate
from models.identities import link, unlink
from models.invariants import check_invariants
from models.recommendation_credit import DailyRecommendationCredit
from models.sketches import Crowd
from settings import Settings
from tasks import registry, resources
from tasks.aggregate import aggregate_days, aggregate_dirty
from tests.builders import NOW, NOW_MS, TODAY, crafted, empty, store, store_events, uuid7_at

MINUTE_MS = 60_000
PROPERTIES = ("service_id", "device_type")


def view(minutes: float = 0, **fields: Any) -> dict[str, Any]:
    """Make an event of today, some minutes after eight."""
    ms = NOW_MS - 240 * MINUTE_MS + int(minutes * MINUTE_MS)
    return {"event_type": "page_view", "occurred_at": ms, **fields}


def aggregate(engine: Engine, zone: str = "UTC") -> None:
    aggregate_dirty(engine, zone=zone, now=NOW, properties=PROPERTIES)


def check(engine: Engine, client: redis.Redis, zone: str = "UTC") -> None:
    assert [item for item in check_invariants(engine, client, zone=zone) if not item.ok] == []


def hours(session: Session) -> dict[datetime, int]:
    return {row.hour: row.events for row in session.scalars(select(HourlyAggregate))}


def sessions(session: Session) -> tuple[int, int, int, int]:
    row = session.scalars(select(DailySessions).where(DailySessions.events > 0)).one()
    return row.sessions, row.bounces, row.events, row.duration_ms


def values(session: Session) -> dict[tuple[str, str], int]:
    found = session.scalars(select(DailyValue).where(DailyValue.events > 0))
    return {(row.property, row.value): row.events for row in found}


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("UTC", date(2026, 3, 14), 24),
        ("Europe/Berlin", date(2025, 10, 26), 25),
        ("Europe/Berlin", date(2025, 3, 30), 23),
        ("Asia/Kolkata", date(2026, 3, 14), 24),
        ("Pacific/Chatham", date(2026, 3, 14), 24),
        ("Pacific/Chatham", date(2025, 9, 28), 23),
        ("America/Los_Angeles", date(2026, 3, 8), 23),
    ],
)
def test_each_hour_of_a_day_has_its_own_moment(
    engine: Engine, session: Session, zone: str, day: date, length: int
) -> None:
    here = ZoneInfo(zone)
    start = datetime(day.year, day.month, day.day, tzinfo=here).astimezone(UTC)
    moments = [start + timedelta(hours=n, minutes=59) for n in range(length)]
    store_events(engine, *[view(occurred_at=moment.isoformat()) for moment in moments], zone=zone)

    aggregate(engine, zone)

    assert hours(session) == {start + timedelta(hours=n): 1 for n in range(length)}
    assert set(session.scalars(select(HourlyAggregate.day))) == {day}


def test_the_hour_that_a_clock_shows_twice_is_two(engine: Engine, session: Session) -> None:
    for moment in ("2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"):
        assert datetime.fromisoformat(moment).astimezone(ZoneInfo("Europe/Berlin")).hour == 2
        store_events(engine, view(occurred_at=moment), zone="Europe/Berlin")

    aggregate(engine, "Europe/Berlin")

    assert list(hours(session).values()) == [1, 1]


def test_a_linked_id_is_its_user_in_every_count(
    engine: Engine, session: Session, redis_client: redis.Redis
) -> None:
    store_events(engine, view(anonymous_id="a1"), view(1, user_id="u1"), view(2, anonymous_id="a2"))
    aggregate(engine)
    before = session.get_one(DailyTotal, TODAY)
    assert (before.unique_users, before.unique_anonymous, sessions(session)[0]) == (1, 2, 3)
    session.rollback()

    with transaction(engine) as linking:
        link(linking, "a1", "u1")
    aggregate(engine)

    total = session.get_one(DailyTotal, TODAY, populate_existing=True)
    kind = session.scalars(select(DailyAggregate)).one()
    assert (total.unique_users, total.unique_anonymous) == (1, 1)
    assert (kind.unique_users, kind.unique_anonymous) == (1, 1)
    assert sessions(session)[0] == 2
    check(engine, redis_client)
    with transaction(engine) as unlinking:
        unlink(unlinking, "a1")
    aggregate(engine)
    session.rollback()
    assert session.get_one(DailyTotal, TODAY, populate_existing=True).unique_anonymous == 2


def test_the_sketches_of_a_day_hold_its_people(engine: Engine, session: Session) -> None:
    store_events(
        engine,
        *[view(n / 10, user_id=f"u{n % 7}") for n in range(20)],
        *[view(n / 10, anonymous_id=f"a{n % 5}") for n in range(20)],
    )
    aggregate(engine)

    total = session.get_one(DailyTotal, TODAY)
    users, anonymous = Crowd(), Crowd()
    users.merge(total.users_sketch)
    anonymous.merge(total.anonymous_sketch)
    assert (users.estimate().value, anonymous.estimate().value) == (7, 5)
    assert (total.unique_users, total.unique_anonymous) == (7, 5)


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([(0, None), (30, None)], (1, 0, 2, 30 * MINUTE_MS)),
        ([(0, None), (30.001, None)], (2, 2, 2, 0)),
        ([(0, "s1"), (1, "s1"), (2, "s2")], (2, 1, 3, MINUTE_MS)),
        ([(0, "s1"), (1, None), (2, "s1")], (1, 0, 3, 2 * MINUTE_MS)),
        ([(0, "s1"), (40, "s1"), (41, "s1")], (2, 1, 3, MINUTE_MS)),
        ([(5, None)], (1, 1, 1, 0)),
        ([(0, "s1"), (0, "s2")] * 10, (2, 0, 20, 0)),
    ],
)
def test_a_session_ends_after_half_an_hour_or_with_its_id(
    engine: Engine,
    session: Session,
    events: list[tuple[float, str | None]],
    counted: tuple[int, int, int, int],
) -> None:
    store_events(engine, *[view(at, session_id=id_, user_id="u1") for at, id_ in events])

    aggregate(engine)

    assert sessions(session) == counted


def test_a_session_is_of_one_person_and_ends_with_its_day(engine: Engine, session: Session) -> None:
    store_events(
        engine,
        view(0, user_id="x"),
        view(1, anonymous_id="x"),
        view(2),
        view(occurred_at="2026-03-14T23:59:00Z", user_id="u"),
        view(occurred_at="2026-03-15T00:01:00Z", user_id="u"),
    )

    aggregate(engine)

    found = session.scalars(select(DailySessions).order_by(DailySessions.day))
    assert [(row.day.day, row.sessions, row.events) for row in found] == [(14, 1, 1), (15, 3, 3)]


def test_the_values_of_configured_properties_are_counted(
    engine: Engine, session: Session, redis_client: redis.Redis
) -> None:
    odd: list[Any] = ["s1", "s1", 7, 7.5, True, "", None, ["s1"], {"a": 1}, "x" * 200, "x" * 201]
    store_events(
        engine, *[view(n, properties={"service_id": value}) for n, value in enumerate(odd)]
    )
    store_events(engine, view(device_type="mobile", properties={"device_type": "no"}))

    aggregate(engine)

    assert values(session) == {
        ("service_id", "s1"): 2,
        ("service_id", "7"): 1,
        ("service_id", "7.5"): 1,
        ("service_id", "true"): 1,
        ("service_id", "x" * 200): 1,
        ("device_type", "mobile"): 1,
    }
    check(engine, redis_client)


def test_rare_values_of_a_day_are_summed(
    engine: Engine, session: Session, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_values, "MAX_VALUES", 2)
    sent = ["a", "a", "a", "b", "b", "c", "d"]
    store_events(engine, *[view(n, properties={"service_id": v}) for n, v in enumerate(sent)])

    aggregate(engine)

    assert values(session) == {
        ("service_id", "a"): 3,
        ("service_id", "b"): 2,
        ("service_id", ""): 2,
    }
    check(engine, redis_client)


def test_recommendations_are_counted_by_place(
    engine: Engine, session: Session, redis_client: redis.Redis
) -> None:
    shown = [{"product_id": "p1", "position": 1}, {"product_id": "p2", "position": 2}]
    at_home = {"placement": "home"}
    hostile: list[Any] = [0, -1, 1.5, 1001, 1e308, "2", None, [1], True]
    store_events(
        engine,
        view(event_type="rec_shown", items=shown, properties=at_home),
        view(event_type="rec_clicked", product_id="p2", properties={**at_home, "position": 2}),
        view(event_type="rec_purchased", product_id="p2"),
        *[
            view(event_type="rec_clicked", properties={"placement": n, "position": position})
            for n, position in enumerate(hostile)
        ],
    )

    aggregate(engine)

    shown = {
        (row.placement, row.position): row.shown
        for row in session.scalars(select(DailyRecommendations))
    }
    earned = {
        (row.placement, row.position): (row.clicked, row.purchased)
        for row in session.scalars(select(DailyRecommendationCredit))
    }
    assert shown == {("home", 1): 1, ("home", 2): 1}
    assert earned == {("home", 2): (1, 0), ("", 0): (9, 1)}
    check(engine, redis_client)


def test_a_number_beyond_all_bounds_does_not_stop_an_aggregation(
    engine: Engine, session: Session
) -> None:
    store(
        engine,
        crafted(
            {
                "event_id": uuid7_at(NOW_MS),
                "event_type": "rec_shown",
                "properties": {"position": 1e308, "placement": "x" * 5000, "service_id": 1e308},
            }
        ),
    )

    aggregate(engine)

    row = session.scalars(select(DailyRecommendations)).one()
    assert (len(row.placement), row.position, row.shown) == (200, 0, 1)
    assert values(session) == {}


def test_a_sealed_day_keeps_everything(engine: Engine, session: Session) -> None:
    store_events(engine, view(user_id="u", properties={"service_id": "s"}))
    aggregate(engine)
    with transaction(engine) as changing:
        changing.execute(text("UPDATE daily_totals SET sealed_at = now()"))
        changing.execute(text("DELETE FROM events"))
        changing.execute(text("INSERT INTO dirty_days (day) VALUES (:day)"), {"day": TODAY})

    aggregate(engine)

    assert sum(hours(session).values()) == 1
    assert values(session) == {("service_id", "s"): 1}
    assert sessions(session) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    "table",
    [
        "daily_aggregates",
        "daily_totals",
        "hourly_aggregates",
        "daily_values",
        "daily_sessions",
    ],
)
def test_the_check_sees_an_aggregate_that_is_wrong(
    engine: Engine, redis_client: redis.Redis, table: str
) -> None:
    store_events(engine, view(user_id="u", properties={"service_id": "s"}))
    aggregate(engine)
    check(engine, redis_client)

    with transaction(engine) as changing:
        changing.execute(text(f"UPDATE {table} SET events = events + 1 WHERE events > 0"))

    found = check_invariants(engine, redis_client, zone="UTC")
    assert [item.id for item in found if not item.ok] == ["I5"]


def test_the_timed_aggregation_counts_the_configured_properties(
    engine: Engine, settings: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("REPORT_PROPERTIES", " plan, source ,plan,")
    resources._make.cache_clear()
    store_events(engine, view(source="web", properties={"plan": "free"}))

    registry.aggregate_dirty()

    assert values(session) == {("plan", "free"): 1, ("source", "web"): 1}
    resources.resources().engine.dispose()
    resources.resources().redis.close()
    resources._make.cache_clear()


def test_the_doctor_sees_days_that_were_aggregated_in_another_zone(
    engine: Engine, settings: Settings
) -> None:
    patient = Patient(
        replace(settings, report_timezone="Asia/Tokyo"), Path("."), running=None, reachable=True
    )

    def zone_finding() -> Finding:
        return next(found for found in check_database(patient) if found.id == "zone")

    store_events(engine, view(occurred_at="2026-03-14T23:00:00Z"), view(0))
    aggregate(engine)
    found = zone_finding()
    assert (found.status, found.found) == (
        ERROR,
        "days of 2026-03-14 to 2026-03-14 were aggregated in another zone than Asia/Tokyo",
    )
    assert "aggregate-daily --date 2026-03-13 --to 2026-03-15" in found.remedy

    days = [TODAY + timedelta(days=n) for n in (-2, -1, 0)]
    aggregate_days(engine, days, zone="Asia/Tokyo", now=NOW)
    assert zone_finding().status == OK


_ids = st.sampled_from([None, "a", "b"])
_events = st.fixed_dictionaries(
    {
        "minutes": st.integers(0, 60).map(lambda n: n * 4),
        "user_id": _ids,
        "anonymous_id": _ids,
        "session_id": st.sampled_from([None, "s1", "s2"]),
    }
)


@hypothesis_settings(max_examples=40)
@given(events=st.lists(_events, max_size=14))
def test_sessions_are_those_found_by_hand(engine: Engine, events: list[dict[str, Any]]) -> None:
    empty(engine)
    if events:
        store_events(
            engine,
            *[view(e["minutes"], **{k: v for k, v in e.items() if k != "minutes"}) for e in events],
        )
    aggregate(engine)

    last: dict[Any, dict[str, Any]] = {}
    numbers = Counter[Any]()
    lengths = Counter[Any]()
    duration = 0
    # Of one moment, an event without a session id comes last.
    for event in sorted(events, key=lambda e: (e["minutes"], e["session_id"] or "~")):
        person = ("u", event["user_id"]) if event["user_id"] else ("a", event["anonymous_id"])
        if person[1] is None:
            continue
        before = last.get(person)
        ids = {event["session_id"], before and before["session_id"]} - {None}
        if before and event["minutes"] - before["minutes"] <= 30 and len(ids) < 2:
            duration += event["minutes"] - before["minutes"]
        else:
            numbers[person] += 1
        lengths[person, numbers[person]] += 1
        last[person] = event
    with transaction(engine) as session:
        row = session.scalars(select(DailySessions)).one_or_none()
        found = (row.sessions, row.bounces, row.events, row.duration_ms) if row else (0, 0, 0, 0)
    bounces = sum(1 for length in lengths.values() if length == 1)
    assert found == (len(lengths), bounces, lengths.total(), duration * MINUTE_MS)
