"""Messages reach the queue they are meant for, and arrive as they were sent."""

from __future__ import annotations

import pytest
import redis
from celery import Celery

from settings import Settings
from tasks import registry


@pytest.fixture
def celery(settings: Settings) -> Celery:
    """Give a Celery app with our configuration, on the broker of the tests."""
    made = Celery(
        "tests",
        broker=settings.celery_broker_url,
        config_source="celeryconfig",
        set_as_current=False,
    )
    made.loader.import_default_modules = lambda: None
    return made


@pytest.mark.parametrize(
    ("task", "queue"),
    [("ingest.drain", "ingest"), ("aggregate.daily", "default"), ("train.run", "training")],
)
def test_a_task_goes_to_its_queue_and_to_no_other(
    celery: Celery, redis_client: redis.Redis, task: str, queue: str
) -> None:
    # As a worker does when it starts, and then another process sends.
    with celery.connection_for_write() as connection:
        for declared in celery.amqp.queues.values():
            declared(connection.default_channel).declare()
    celery.send_task(task)

    names = ("ingest", "default", "training")
    waiting = {name: redis_client.llen(f"millrace:celery:{name}") for name in names}
    assert waiting == {"ingest": 0, "default": 0, "training": 0, queue: 1}


def test_objects_that_look_like_types_arrive_as_they_are(celery: Celery) -> None:
    event = {"event_type": "x", "properties": {"__type__": "uuid", "__value__": "no uuid"}}

    # As `celery call` sends it, which names the serializer itself.
    celery.send_task("ingest.store", kwargs={"events": [event]}, serializer="json")

    with celery.connection_for_read() as connection:
        message = connection.SimpleQueue(celery.amqp.queues["ingest"], no_ack=True).get(timeout=5)
    assert message.payload[1] == {"events": [event]}


def test_every_task_of_the_timetable_is_registered() -> None:
    named = {entry["task"] for entry in registry.app.conf.beat_schedule.values()}

    assert named - set(registry.app.tasks) == set()
