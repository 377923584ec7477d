"""Seeding: what is made past the door is counted as what came through it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import redis
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from bench.export import measure as measure_export
from bench.reports import questions
from bench.seed import Plan, is_empty, seed
from bench.seed_rows import WEIGHTS
from intake.rows import resolve_type
from models.events import Event
from models.partitions import ensure_partitions
from settings import Settings
from tasks.aggregate import aggregate_dirty
from tests.builders import NOW, TODAY, count_events, store_events
from tests.integration.test_purge import check

PLAN = Plan(events=500, days=3, products=20, people=40, seed=1, now=NOW)


@pytest.fixture
def seeded(engine: Engine) -> Engine:
    made = seed(engine, PLAN, advance=lambda events: None)
    assert made.events == 500
    return engine


def test_a_seeded_installation_is_in_order(
    seeded: Engine, session: Session, redis_client: redis.Redis
) -> None:
    aggregate_dirty(seeded, zone="UTC", now=NOW)

    check(seeded, redis_client, "UTC")
    assert count_events(session) == 500
    days = session.scalars(select(func.date(Event.occurred_at)).distinct()).all()
    assert sorted(days) == [TODAY - timedelta(days=age) for age in (2, 1, 0)]
    assert session.scalar(select(func.count()).where(Event.occurred_at > NOW)) == 0


def test_a_seeded_partition_has_the_indices_of_every_other(
    seeded: Engine, session: Session
) -> None:
    def shapes(day: date) -> list[str]:
        found = session.scalars(
            text(
                "SELECT regexp_replace(indexdef, '^.* USING', '') FROM pg_indexes "
                "WHERE tablename = :name ORDER BY 1"
            ),
            {"name": f"events_{day:%Y%m%d}"},
        )
        return list(found.all())

    other = TODAY + timedelta(days=1)
    ensure_partitions(session, [other])

    assert shapes(TODAY - timedelta(days=2)) == shapes(other) != []


def test_another_seed_adds_other_events(seeded: Engine, session: Session) -> None:
    assert not is_empty(seeded)

    seed(seeded, Plan(100, 3, 20, 40, seed=2, now=NOW), advance=lambda events: None)

    assert count_events(session) == 600


def test_the_seeded_types_are_those_of_the_catalogue() -> None:
    assert [resolve_type(kind)[0] for kind in WEIGHTS] == list(WEIGHTS)


def test_what_is_measured_can_be_asked_on_a_seeded_installation(
    seeded: Engine, settings: Settings
) -> None:
    asked = questions(seeded, today=TODAY)
    result = measure_export(
        seeded, settings.sqlalchemy_url, format_="csv", rows=100, rounds=1, tell=lambda text: None
    )

    assert len({question.name for question in asked}) == len(asked)
    assert (result.rows, sorted(result.memory_mb)) == (100, [20, 100])


def test_days_get_all_events_of_a_plan() -> None:
    shares = Plan(1_000_003, 60, 1, 1, seed=1, now=NOW).shares()

    assert sum(events for _, events in shares) == 1_000_003
    assert [events for _, events in shares] == sorted(events for _, events in shares)
    assert shares[-1][0] == TODAY


def test_an_installation_with_events_is_not_empty(engine: Engine) -> None:
    assert is_empty(engine)
    store_events(engine, {"event_type": "search"})
    assert not is_empty(engine)
