"""The tasks as a worker calls them, on a worker's own resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.exc import OperationalError, PendingRollbackError, ProgrammingError
from sqlalchemy.orm import Session

import inbox
from models.daily_aggregates import DailyTotal
from models.events import Event
from models.job_runs import JobRun
from models.product_metrics import ProductMetrics
from models.suppressions import SecretKeyMissingError
from settings import Settings
from tasks import registry, resources
from tasks.celery_app import app as celery_app
from tasks.direct import store_direct
from tasks.jobs import TIMETABLE
from tests.builders import NOW, body_of, crafted

VIEW = {"event_type": "product_view", "product_id": "p"}


@pytest.fixture
def worker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process be a worker on the servers of the tests."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    resources._make.cache_clear()
    yield
    here = resources.resources()
    here.engine.dispose()
    here.redis.close()
    resources._make.cache_clear()


def direct(engine: Engine, settings: Settings, *events: dict[str, Any]) -> dict[str, Any]:
    return store_direct(engine, settings, list(events), task_id="task-1", now=NOW, known_days=set())


def test_a_direct_task_delivered_twice_counts_once(
    engine: Engine, settings: Settings, session: Session
) -> None:
    first = direct(engine, settings, VIEW, VIEW)
    again = direct(engine, settings, VIEW, VIEW)

    assert (first["stored"], first["duplicate"]) == (2, 0)
    assert (again["stored"], again["duplicate"]) == (0, 2)
    assert session.get_one(ProductMetrics, "p").total_views == 2


def test_a_direct_task_tells_which_events_it_rejected(engine: Engine, settings: Settings) -> None:
    result = direct(engine, settings, VIEW, {"event_type": ""}, {"event_type": "a", "items": [1]})

    assert result["stored"] == 1
    assert [verdict["index"] for verdict in result["rejected"]] == [1, 2]


def test_a_direct_task_without_events_does_nothing(engine: Engine, settings: Settings) -> None:
    assert direct(engine, settings)["stored"] == 0


@pytest.mark.parametrize(
    "error",
    [
        OperationalError,
        PendingRollbackError,
        ProgrammingError,
        SecretKeyMissingError,
        SoftTimeLimitExceeded,
    ],
)
def test_a_direct_task_is_tried_again_when_its_events_are_not_at_fault(
    error: type[Exception],
) -> None:
    assert issubclass(error, registry.store.autoretry_for)


@pytest.mark.usefixtures("worker")
def test_the_drain_task_takes_the_bell_down_and_stores(
    redis_client: redis.Redis, session: Session
) -> None:
    redis_client.set(inbox.BELL, b"1")
    inbox.put(redis_client, body_of(VIEW), events=1, days=[NOW.date()])

    result = registry.drain()

    assert result["stored"] == 1
    assert redis_client.exists(inbox.BELL) == 0
    assert session.scalars(select(Event)).one().product_id == "p"


@pytest.mark.usefixtures("worker")
def test_batches_whose_connection_is_lost_while_a_bad_event_is_looked_for_come_again(
    engine: Engine, redis_client: redis.Redis, session: Session
) -> None:
    bad = crafted({"product_id": "p"}, {"product_id": "p", "value": "much"})
    inbox.put(redis_client, bad, events=2, days=[])
    here = resources.resources().engine

    def lose(connection: Connection, name: str, context: None) -> None:
        event.remove(here, "rollback_savepoint", lose)
        driver: Any = connection.connection.driver_connection
        end = text("SELECT pg_terminate_backend(:pid, 5000)")
        with engine.connect() as other:
            other.execute(end, {"pid": driver.info.backend_pid})

    event.listen(here, "rollback_savepoint", lose)

    # The drain looks twice: at the second look they are there again.
    result = registry.drain()

    assert (result["stored"], result["dead"]) == (1, 1)
    assert session.scalars(select(Event)).one().product_id == "p"


@pytest.mark.usefixtures("worker")
def test_the_depth_task_measures_the_inbox(redis_client: redis.Redis) -> None:
    inbox.put(redis_client, b"{}", events=0, days=[])

    assert registry.inbox_depth()["batches"] == 1


@pytest.mark.usefixtures("worker")
def test_the_daily_task_aggregates_the_day_it_is_given(session: Session) -> None:
    outcome = registry.aggregate_daily(day="2026-03-14")
    again = registry.aggregate_daily(day="2026-03-14")

    assert outcome["day"] == "2026-03-14"
    assert again == outcome
    assert session.get_one(DailyTotal, datetime(2026, 3, 14, tzinfo=UTC).date()).events == 0


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    "task",
    [registry.aggregate_daily, registry.partitions_ahead, registry.purge, registry.train_nightly],
)
def test_a_timed_task_runs_its_period_once(
    session: Session, task: Callable[[], dict[str, Any] | None]
) -> None:
    assert task() is not None
    assert task() is None

    run = session.scalars(select(JobRun)).one()
    assert (run.status, run.runs) == ("done", 1)


@pytest.mark.usefixtures("worker")
def test_the_dirty_task_aggregates_as_often_as_it_is_asked(session: Session) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    registry.store(events=[{**VIEW, "occurred_at": yesterday.isoformat()}])

    assert registry.aggregate_dirty() == {"days": 1, "events": 1}
    assert registry.aggregate_dirty() == {"days": 0, "events": 0}
    assert session.get_one(DailyTotal, yesterday.date()).events == 1


@pytest.mark.usefixtures("worker", "redis_client")
def test_a_purge_by_hand_leaves_the_weekly_one_due(session: Session) -> None:
    registry.purge(days=30, dry_run=True)
    outcome = registry.purge()

    assert outcome is not None
    assert outcome["dry_run"] is False


def test_every_timed_job_is_a_registered_task() -> None:
    assert {due.task for due in TIMETABLE} <= set(celery_app.tasks)
