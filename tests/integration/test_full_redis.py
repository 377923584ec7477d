"""Redis near its memory limit: the doors refuse in time, and the workers' own writes never fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

import inbox
from settings import Settings
from tasks.ingest import Drainer
from tests.builders import count_events
from tests.integration.test_door import URL

AppWith = Callable[..., FlaskClient]
ROOM_BYTES = 8_000_000
BATCH = [{"event_type": "page_view", "properties": {"filling": "x" * 1000}}] * 100


@pytest.fixture
def small_redis(redis_client: redis.Redis) -> Iterator[redis.Redis]:
    """Let the server have a few megabytes more than it uses."""
    used = int(redis_client.info("memory")["used_memory"])
    redis_client.config_set("maxmemory", used + ROOM_BYTES)
    redis_client.config_resetstat()
    yield redis_client
    redis_client.config_set("maxmemory", 0)


def test_a_flood_through_several_processes_leaves_room_for_celery(
    app_with: AppWith,
    small_redis: redis.Redis,
    settings: Settings,
    drainer: Drainer,
    session: Session,
) -> None:
    # Each app looks at the room by itself, as web processes do.
    clients = [app_with() for _ in range(4)]
    answers: list[int] = []

    def flood(client: FlaskClient) -> None:
        answers.extend(client.post(URL, json={"events": BATCH}).status_code for _ in range(60))

    threads = [threading.Thread(target=flood, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    failed = send_tasks_while(threads, settings)

    accepted = answers.count(201)
    assert failed == []
    assert "errorstat_OOM" not in small_redis.info("errorstats")
    assert set(answers) == {201, 503}
    assert inbox.read_depth(small_redis).batches == accepted
    assert drainer.drain(limit_s=60).stored == accepted * len(BATCH)
    assert count_events(session) == accepted * len(BATCH)
    small_redis.delete("millrace:celery:default", "millrace:celery:ingest")
    assert app_with().post(URL, json={"events": BATCH}).status_code == 201


def send_tasks_while(threads: list[threading.Thread], settings: Settings) -> list[Any]:
    """Write to the broker as workers and Beat do, until the threads end; give what failed."""
    celery = Celery(
        "tests",
        broker=settings.celery_broker_url,
        config_source="celeryconfig",
        set_as_current=False,
    )
    failed = []
    while any(thread.is_alive() for thread in threads):
        threads[-1].join(0.02)
        try:
            celery.send_task("ingest.drain")
        except Exception as error:
            failed.append(error)
    return failed
