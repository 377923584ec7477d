"""The purge: events go, what they meant stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from models.daily_aggregates import DailyTotal
from models.database import transaction
from models.invariants import check_invariants
from models.partitions import read_partition_days
from models.product_metrics import ProductMetrics, PurgedProductMetrics
from models.reports.summary import read_day
from tasks import retention
from tasks.aggregate import aggregate_dirty
from tasks.retention import ensure_partitions_ahead, purge
from tests.builders import (
    DAY_MS,
    NOW,
    NOW_MS,
    RULES,
    TODAY,
    body_of,
    count_events,
    crafted,
    empty,
    store,
    store_events,
    uuid7_at,
)

ZONES = ["UTC", "Asia/Kolkata", "Etc/GMT+12", "Pacific/Kiritimati"]


def sale(days_ago: float, number: int, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "purchase",
        "product_id": f"p{number % 2}",
        "quantity": 2,
        "value": 1.25,
        "message_id": f"m{number}",
        "occurred_at": NOW_MS - int(days_ago * DAY_MS),
        **fields,
    }


def undated(engine: Engine, number: int, days_ago: int) -> None:
    """Store an event whose id has no time, and that came some days ago."""
    store_events(engine, {"event_type": "purchase", "product_id": "p0", "message_id": f"u{number}"})
    with transaction(engine) as session:
        session.execute(
            text("UPDATE events SET occurred_at = :at WHERE message_id = :id"),
            {"at": NOW - timedelta(days=days_ago), "id": f"u{number}"},
        )
        session.execute(
            text("INSERT INTO dirty_days (day) VALUES (:day)"),
            {"day": TODAY - timedelta(days=days_ago)},
        )


def reports(engine: Engine, zone: str = "UTC") -> dict[date, Any]:
    """Give the figures of each of the last sixty days."""
    with transaction(engine) as session:
        days = [TODAY - timedelta(days=n) for n in range(-1, 60)]
        figures = {day: read_day(session, day, zone=zone) for day in days}
        return {
            day: (
                found.events,
                found.unique_users,
                [(row.event_type, row.events) for row in found.types],
                [(row.product_id, row.sales, row.revenue) for row in found.products],
            )
            for day, found in figures.items()
        }


def check(engine: Engine, client: redis.Redis, zone: str) -> None:
    broken = [item for item in check_invariants(engine, client, zone=zone) if not item.ok]
    assert broken == []


@hypothesis_settings(max_examples=6)
@given(
    # Around the edges of the purges, and few partitions: making and dropping them takes the time.
    ages=st.lists(
        st.sampled_from([1, 19, 20, 21, 30, 31]).flatmap(lambda n: st.floats(n, n + 0.9)),
        min_size=1,
        max_size=10,
    ),
    drifts=st.lists(st.integers(-DAY_MS, DAY_MS), min_size=10, max_size=10),
    keep=st.sampled_from([30, 31]),
    zone=st.sampled_from(ZONES),
)
def test_after_any_purge_counters_and_reports_are_what_they_were(
    engine: Engine,
    redis_client: redis.Redis,
    ages: list[float],
    drifts: list[int],
    keep: int,
    zone: str,
) -> None:
    empty(engine)
    events = [
        sale(age, n, event_id=uuid7_at(NOW_MS - int(age * DAY_MS) + drift, n))
        for n, (age, drift) in enumerate(zip(ages, drifts, strict=False))
    ]
    store_events(engine, *events, zone=zone)
    aggregate_dirty(engine, zone=zone, now=NOW)
    before = reports(engine, zone)

    purge(engine, days=keep, zone=zone, now=NOW)
    aggregate_dirty(engine, zone=zone, now=NOW)

    assert reports(engine, zone) == before
    check(engine, redis_client, zone)
    purge(engine, days=keep - 10, zone=zone, now=NOW)
    assert reports(engine, zone) == before
    check(engine, redis_client, zone)


def test_a_purge_deletes_what_is_old_and_nothing_else(engine: Engine, session: Session) -> None:
    store_events(engine, sale(40, 1), sale(31, 2), sale(30, 3), sale(1, 4))

    done = purge(engine, days=30, zone="UTC", now=NOW)

    assert (done.events, done.dry_run) == (2, False)
    assert done.cutoff == TODAY - timedelta(days=30)
    assert count_events(session) == 2
    assert min(read_partition_days(session)) >= done.cutoff


def test_a_dry_run_tells_the_same_and_changes_nothing(engine: Engine, session: Session) -> None:
    store_events(engine, sale(40, 1), sale(1, 2))
    undated(engine, 1, days_ago=40)
    days = read_partition_days(session)
    session.rollback()

    told = purge(engine, days=30, zone="UTC", now=NOW, dry_run=True)

    assert told.events == 2
    assert count_events(session) == 3
    assert read_partition_days(session) == days
    assert session.scalars(select(DailyTotal)).all() == []
    session.rollback()
    assert purge(engine, days=30, zone="UTC", now=NOW).events == told.events


def test_the_purged_counters_hold_what_went(engine: Engine, session: Session) -> None:
    store_events(engine, sale(40, 0), sale(1, 2))

    purge(engine, days=30, zone="UTC", now=NOW)

    assert session.get_one(ProductMetrics, "p0").total_sales == 4
    assert session.get_one(PurgedProductMetrics, "p0").total_sales == 2


def test_ids_without_a_time_are_purged_in_chunks(
    engine: Engine, session: Session, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 2)
    for number, age in enumerate([50, 45, 40, 40, 40, 2]):
        undated(engine, number, days_ago=age)
    aggregate_dirty(engine, zone="UTC", now=NOW)
    before = reports(engine)

    done = purge(engine, days=30, zone="UTC", now=NOW)

    assert done.events == 5
    assert count_events(session) == 1
    assert reports(engine) == before
    check(engine, redis_client, "UTC")


def test_old_ids_without_a_time_seal_the_days_around_them_only(
    engine: Engine, session: Session, redis_client: redis.Redis
) -> None:
    for number, age in enumerate([55, 8]):
        undated(engine, number, days_ago=age)
    aggregate_dirty(engine, zone="UTC", now=NOW)
    before = reports(engine)

    done = purge(engine, days=None, by_type={"purchase": 5}, zone="UTC", now=NOW)

    sealed = session.scalars(select(DailyTotal.day).where(DailyTotal.sealed_at.is_not(None))).all()
    assert done.events == 2
    assert TODAY - timedelta(days=25) not in sealed
    assert {TODAY - timedelta(days=55), TODAY - timedelta(days=8)} <= set(sealed)
    assert reports(engine) == before
    check(engine, redis_client, "UTC")


def test_an_id_without_a_time_hides_no_event_of_a_sealed_day(engine: Engine) -> None:
    store_events(engine, sale(40, 1))
    purge(engine, days=30, zone="UTC", now=NOW)
    old, new = (
        {"event_id": f"00000000-0000-8000-8000-00000000000{n}", "occurred_at": at}
        for n, at in enumerate(["2026-02-01T12:00:00Z", "2026-03-15T12:00:00Z"])
    )
    dated = {"event_id": uuid7_at(NOW_MS), "occurred_at": "2026-03-15T12:00:00Z"}

    alone = store(engine, crafted(old))
    together = store(engine, crafted(old, new, dated))

    assert (alone.stored, alone.dead) == (0, 1)
    assert (together.stored, together.dead, together.duplicate) == (2, 0, 1)


def test_purging_again_finds_nothing(engine: Engine, redis_client: redis.Redis) -> None:
    store_events(engine, sale(40, 1), sale(1, 2))
    purge(engine, days=30, zone="UTC", now=NOW)

    again = purge(engine, days=30, zone="UTC", now=NOW)

    assert again.events == 0
    check(engine, redis_client, "UTC")


def test_a_duplicate_of_a_stored_event_of_a_sealed_day_is_no_dead_letter(
    engine: Engine, redis_client: redis.Redis
) -> None:
    # Thirty days old: its day is sealed with that of its older neighbour, its partition is kept.
    store_events(engine, sale(31, 1), sale(30, 2))
    purge(engine, days=30, zone="UTC", now=NOW)

    result = store_events(engine, sale(30, 2), sale(30, 3))

    assert (result.duplicate, result.dead) == (1, 1)
    check(engine, redis_client, "UTC")


def test_what_the_door_still_accepts_is_never_sealed(engine: Engine) -> None:
    old = sale(RULES.retention_days + 1, 1)
    store(engine, body_of(old, rules=replace(RULES, retention_days=400)))
    purge(engine, days=RULES.retention_days, zone="Etc/GMT+12", now=NOW)
    oldest = RULES.oldest_ms(NOW_MS)

    result = store_events(engine, sale(0, 2, occurred_at=oldest), zone="Etc/GMT+12")

    assert (result.stored, result.dead) == (1, 0)


@pytest.mark.parametrize("days", [-1, 0, 1, 2])
def test_a_purge_never_reaches_the_days_that_still_fill(engine: Engine, days: int) -> None:
    with pytest.raises(ValueError, match=f"days must be >= {retention.FEWEST_DAYS}, got {days}"):
        purge(engine, days=days, zone="UTC", now=NOW)


@pytest.mark.parametrize("zone", ZONES)
def test_the_strictest_purge_leaves_today_open(engine: Engine, zone: str) -> None:
    store_events(engine, sale(retention.FEWEST_DAYS + 1, 1), zone=zone)
    purge(engine, days=retention.FEWEST_DAYS, zone=zone, now=NOW)

    assert store_events(engine, sale(0, 2), zone=zone).stored == 1


def test_partitions_are_made_a_week_ahead(engine: Engine, session: Session) -> None:
    ensure_partitions_ahead(engine, now=NOW)
    with transaction(engine) as changing:
        for day in (TODAY, TODAY + timedelta(days=7)):
            changing.execute(text(f"DROP TABLE events_{day:%Y%m%d}"))

    made = ensure_partitions_ahead(engine, now=NOW)
    again = ensure_partitions_ahead(engine, now=NOW)

    assert (made, again) == (2, 0)
    assert {TODAY + timedelta(days=n) for n in range(8)} <= read_partition_days(session)
