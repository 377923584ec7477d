"""Retention by type: some types go earlier, and every figure stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from cli.jobs import purge as command
from models.daily_aggregates import read_sealed_through
from models.database import transaction
from models.events import Event
from models.partitions import STORE_LOCK, partition_name, read_partition_days
from models.product_metrics import PurgedProductMetrics
from settings import Settings, read_settings
from tasks import retention
from tasks.aggregate import aggregate_dirty
from tasks.retention import UNDATED, purge
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, body, store_events
from tests.integration.test_purge import check, reports, undated


def event(kind: str, days_ago: float, number: int) -> dict[str, Any]:
    return {
        "event_type": kind,
        "product_id": f"p{number % 2}",
        "value": 2.5,
        "message_id": f"{kind}-{number}",
        "occurred_at": NOW_MS - int(days_ago * DAY_MS),
    }


def fill(engine: Engine) -> None:
    """Store three types on each of four days."""
    store_events(
        engine,
        *(
            event(kind, age, number)
            for number, age in enumerate([40, 40, 31, 20, 2])
            for kind in ("product_view", "search", "purchase")
        ),
    )
    aggregate_dirty(engine, zone="UTC", now=NOW)


def left(session: Session) -> dict[str, int]:
    rows = session.execute(select(Event.event_type, func.count()).group_by(Event.event_type))
    return dict(rows.all())


def test_a_type_goes_earlier_than_the_others_and_every_figure_stays(
    engine: Engine, session: Session, redis_client: redis.Redis
) -> None:
    fill(engine)
    before = reports(engine)

    done = purge(engine, days=35, by_type={"product_view": 15, "search": 25}, zone="UTC", now=NOW)

    # Of the oldest day all three are gone, of the next two of them, of the next one.
    assert left(session) == {"product_view": 1, "search": 2, "purchase": 3}
    assert done.by_type == {"product_view": 4, "search": 3, "purchase": 2}
    assert min(read_partition_days(session)) >= done.cutoff
    assert reports(engine) == before
    check(engine, redis_client, "UTC")


def test_purging_types_again_finds_nothing_and_the_rest_can_still_go(
    engine: Engine, session: Session, redis_client: redis.Redis
) -> None:
    fill(engine)
    before = reports(engine)
    for _ in range(2):
        done = purge(engine, days=None, by_type={"product_view": 10}, zone="UTC", now=NOW)

    assert (done.events, done.cutoff) == (0, None)
    purge(engine, days=10, zone="UTC", now=NOW)
    aggregate_dirty(engine, zone="UTC", now=NOW)
    assert left(session) == {"product_view": 1, "search": 1, "purchase": 1}
    assert reports(engine) == before
    check(engine, redis_client, "UTC")


def test_only_days_that_lose_events_are_sealed(engine: Engine, session: Session) -> None:
    fill(engine)

    purge(engine, days=None, by_type={"product_view": 25}, zone="UTC", now=NOW)

    sealed = read_sealed_through(session)
    assert sealed == TODAY - timedelta(days=31 - 3)


def test_a_day_that_one_type_passed_by_is_sealed_when_another_goes(
    engine: Engine, redis_client: redis.Redis
) -> None:
    store_events(engine, event("search", 45, 1), event("product_view", 31, 1))
    purge(engine, days=None, by_type={"product_view": 25}, zone="UTC", now=NOW)
    aggregate_dirty(engine, zone="UTC", now=NOW)
    before = reports(engine)

    purge(engine, days=None, by_type={"search": 25}, zone="UTC", now=NOW)
    with transaction(engine) as session:
        mark = "INSERT INTO dirty_days (day) VALUES (:day)"
        session.execute(text(mark), {"day": TODAY - timedelta(days=45)})
    aggregate_dirty(engine, zone="UTC", now=NOW)

    assert reports(engine) == before
    check(engine, redis_client, "UTC")


def test_late_events_of_a_sealed_day_are_not_stored(engine: Engine) -> None:
    fill(engine)
    purge(engine, days=None, by_type={"product_view": 25}, zone="UTC", now=NOW)

    result = store_events(engine, event("purchase", 31, 99))

    assert (result.stored, result.dead) == (0, 1)


def test_a_purge_that_is_stopped_between_two_chunks_is_done_by_the_next(
    engine: Engine,
    session: Session,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 1)
    fill(engine)
    before = reports(engine)

    # Somebody holds the second partition: the purge gives up there.
    name = partition_name(TODAY - timedelta(days=31))
    with engine.connect() as blocker, monkeypatch.context() as hurry:
        blocker.execute(text(f"LOCK TABLE {name} IN SHARE MODE"))
        hurry.setattr(retention, "lock_for_purge", _hasty_lock)
        with pytest.raises(OperationalError, match="lock timeout"):
            purge(engine, days=None, by_type={"search": 25}, zone="UTC", now=NOW)
    assert left(session)["search"] == 3
    session.rollback()
    check(engine, redis_client, "UTC")
    assert reports(engine) == before

    purge(engine, days=None, by_type={"search": 25}, zone="UTC", now=NOW)

    assert left(session)["search"] == 2
    assert reports(engine) == before
    check(engine, redis_client, "UTC")


def _hasty_lock(session: Session) -> None:
    session.execute(text("SET LOCAL lock_timeout = '100ms'"))
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": STORE_LOCK})


def test_a_dry_run_counts_by_type_and_partition_what_the_purge_then_deletes(
    engine: Engine, session: Session
) -> None:
    fill(engine)
    for number in range(3):
        undated(engine, number, days_ago=[40, 30, 2][number])
    plan: dict[str, Any] = {"days": 35, "by_type": {"product_view": 15, "purchase": 25}}

    told = purge(engine, **plan, zone="UTC", now=NOW, dry_run=True)

    assert sum(left(session).values()) == 18
    assert read_sealed_through(session) is None
    session.rollback()
    done = purge(engine, **plan, zone="UTC", now=NOW)
    assert (told.by_type, told.by_partition) == (done.by_type, done.by_partition)
    assert told.by_partition[UNDATED] == Counter(purchase=2)
    assert told.by_partition[partition_name(TODAY - timedelta(days=20))] == {"product_view": 1}


def test_the_purged_counters_take_up_what_a_type_had_counted(
    engine: Engine, session: Session
) -> None:
    fill(engine)

    purge(engine, days=None, by_type={"purchase": 35}, zone="UTC", now=NOW)

    purged = session.get_one(PurgedProductMetrics, "p0")
    assert (purged.total_sales, purged.total_revenue, purged.total_views) == (1, Decimal("2.5"), 0)


@pytest.mark.parametrize("days", [0, 3])
def test_a_type_keeps_the_days_that_still_fill(engine: Engine, days: int) -> None:
    with pytest.raises(ValueError, match=f"got {days}"):
        purge(engine, days=None, by_type={"search": days}, zone="UTC", now=NOW)


def test_the_setting_names_types_as_the_catalogue_does() -> None:
    settings = read_settings({"RETENTION_BY_TYPE": " pageview = 30, search=90 "})

    assert settings.retention_of_types == {"page_view": 30, "search": 90}
    assert settings.open_days == 30
    assert read_settings({}).open_days == 365


def test_the_door_takes_no_event_of_a_day_that_a_type_may_have_lost(
    app_with: Callable[..., FlaskClient], write_key: str
) -> None:
    client = app_with(retention_by_type="page_view=30")
    late = [event("purchase", age, age) for age in (24, 26)]

    answer = client.post(
        "/api/v1/analytics/events/", json={"events": late}, headers={"X-Write-Key": write_key}
    )

    verdicts = [(item["status"], item.get("reason")) for item in body(answer)["results"]]
    assert verdicts == [("ok", None), ("rejected", "too_old")]


def test_the_command_deletes_one_type(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, session: Session
) -> None:
    store_events(engine, event("product_view", 2, 1), event("search", 2, 1))
    with transaction(engine) as changing:
        changing.execute(text("UPDATE events SET occurred_at = occurred_at"))
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setattr("cli.jobs._now", lambda: NOW + timedelta(days=40))

    told = CliRunner().invoke(command, ["--days", "30", "--type", "view", "--dry-run"])
    gone = CliRunner().invoke(command, ["--days", "30", "--type", "view"])
    refused = CliRunner().invoke(command, ["--type", "view"])

    assert "would delete 1 event" in told.output
    assert f"{partition_name(TODAY - timedelta(days=2))}: product_view 1" in told.output
    assert "deleted 1 event" in gone.output
    assert left(session) == {"search": 1}
    assert (refused.exit_code, "give --days" in refused.output) == (2, True)
