"""The canary: it goes the whole way, it tells when something stands still, and nobody counts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import inbox
from canary import TOO_OLD_S, Canary, read_arrival, record_arrival
from door_counts import read_door_counts
from event_lines import as_json
from models.database import make_engine
from models.invariants import check_invariants
from settings import Settings
from tasks import registry, resources
from tasks.canary import send_canary, take_out_canaries
from tasks.ingest import Drainer
from tests.builders import NOW, body, body_of, count_events

AppWith = Callable[..., FlaskClient]
VIEW = {"event_type": "product_view", "product_id": "p1"}


def put_event(client: redis.Redis) -> None:
    inbox.put(client, body_of(VIEW), events=1, days=[NOW.date()])


def test_a_canary_that_is_drained_has_arrived(drainer: Drainer, redis_client: redis.Redis) -> None:
    send_canary(redis_client, now=NOW)

    before = read_arrival(redis_client)
    drainer.drain()

    arrived = read_arrival(redis_client)
    assert before is None
    assert arrived is not None
    assert arrived.arrived_s >= arrived.sent_s
    assert inbox.read_depth(redis_client).batches == 0


@pytest.fixture
def no_inserts(engine: Engine) -> Iterator[None]:
    """Turn statements that insert events into nothing; COPY asks no rule."""
    with engine.begin() as connection:
        connection.execute(text("CREATE RULE nothing AS ON INSERT TO events DO INSTEAD NOTHING"))
    yield
    with engine.begin() as connection:
        connection.execute(text("DROP RULE nothing ON events"))


@pytest.mark.usefixtures("no_inserts")
def test_a_canary_is_copied_as_events_are(drainer: Drainer, redis_client: redis.Redis) -> None:
    send_canary(redis_client, now=NOW)

    drainer.drain()

    assert read_arrival(redis_client) is not None


def test_a_canary_that_waited_at_an_upgrade_arrives_too(
    drainer: Drainer, redis_client: redis.Redis
) -> None:
    body = as_json(body_of(VIEW))
    inbox.put(redis_client, body, events=0, days=[NOW.date()], canary=True)

    drainer.drain()

    assert read_arrival(redis_client) is not None


def test_nothing_counts_a_canary(
    drainer: Drainer, redis_client: redis.Redis, session: Session, engine: Engine
) -> None:
    send_canary(redis_client, now=NOW)

    result = drainer.drain()

    assert result.as_dict() == dict.fromkeys(result.as_dict(), 0)
    assert count_events(session) == 0
    assert session.scalar(text("SELECT count(*) FROM dirty_days")) == 0
    assert session.scalar(text("SELECT count(*) FROM dead_letters")) == 0
    assert inbox.read_totals(redis_client) == {}
    assert read_door_counts(redis_client) == []
    found = check_invariants(engine, redis_client, zone="UTC")
    assert [item.id for item in found if not item.ok] == []


def test_events_beside_a_canary_are_stored(
    drainer: Drainer, redis_client: redis.Redis, session: Session
) -> None:
    put_event(redis_client)
    send_canary(redis_client, now=NOW)
    put_event(redis_client)

    assert drainer.drain().stored == 2
    assert count_events(session) == 2


def test_without_the_database_canaries_are_dropped_and_events_stay(
    redis_client: redis.Redis,
) -> None:
    away = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/nowhere", application="test")
    put_event(redis_client)
    send_canary(redis_client, now=NOW)
    taken = inbox.take(redis_client, "c", count=10)

    left = take_out_canaries(away, redis_client, taken, zone="UTC")

    assert left == taken[:1]
    assert inbox.read_depth(redis_client).batches == 1
    assert read_arrival(redis_client) is None


def test_a_canary_that_the_tables_refuse_has_not_arrived(
    engine: Engine, redis_client: redis.Redis, session: Session
) -> None:
    inbox.put(redis_client, b'{"events":[{}]}', events=0, days=[NOW.date()], canary=True)
    taken = inbox.take(redis_client, "c", count=1)

    assert take_out_canaries(engine, redis_client, taken, zone="UTC") == []
    assert read_arrival(redis_client) is None
    assert session.scalar(text("SELECT count(*) FROM dead_letters")) == 0


def test_the_task_sends_none_where_canaries_are_off(
    settings: Settings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("CANARY", "false")
    resources._make.cache_clear()

    assert registry.canary() is False
    assert inbox.read_depth(redis_client).batches == 0
    resources._make.cache_clear()


def test_readiness_and_metrics_tell_of_a_canary_that_is_overdue(
    app_with: AppWith, redis_client: redis.Redis
) -> None:
    sent_s = (NOW - timedelta(seconds=TOO_OLD_S + 1)).timestamp()
    record_arrival(redis_client, Canary(sent_s, sent_s + 0.5))

    answer = app_with().get("/readyz")
    quiet = app_with(canary=False).get("/readyz")
    lines = app_with().get("/metrics").text.splitlines()

    assert answer.status_code == 200
    (reason,) = body(answer)["degraded"]
    assert reason.startswith("no canary has arrived for 201 s")
    assert body(quiet)["degraded"] == []
    assert "millrace_canary_age_seconds 201.0" in lines
    assert "millrace_canary_latency_seconds 0.5" in lines


def test_readiness_tells_of_batches_that_wait_too_long(
    app_with: AppWith, redis_client: redis.Redis
) -> None:
    redis_client.xadd(inbox.STREAM, {"n": 1, "d": "", "b": b"{}"}, id="1-1")

    answer = app_with().get("/readyz")

    assert answer.status_code == 200
    assert "INBOX_MAX_AGE_S is 120" in body(answer)["degraded"][0]


def test_readiness_says_when_the_inbox_is_full(
    app_with: AppWith, redis_client: redis.Redis
) -> None:
    inbox.put(redis_client, b"x" * 1000, events=1, days=[])

    answer = app_with(inbox_max_bytes=500).get("/readyz")

    assert body(answer)["checks"]["inbox"]["detail"] == "is full: the doors answer 503"
    assert "millrace_inbox_fullness" in app_with(inbox_max_bytes=500).get("/metrics").text
