"""Celery's settings: broker, queues, limits and the timetable. Data, no logic."""

from __future__ import annotations

import orjson
from celery.schedules import crontab
from kombu import Exchange, Queue
from kombu.serialization import register

from settings import read_settings

_settings = read_settings()

# kombu's own JSON turns objects with the keys __type__ and __value__ into something else, and then
# discards the message. Under its name stands plain JSON, so that every producer can be understood.
register("json", orjson.dumps, orjson.loads, "application/json", "utf-8")
task_serializer = "json"
accept_content = ["json"]

broker_url = _settings.celery_broker_url
broker_connection_retry_on_startup = True
broker_transport_options = {
    # Unacknowledged messages of a dead worker come back after this many seconds. No task is
    # long but training, which acknowledges at once: its run is recorded in the database.
    "visibility_timeout": 3600,
    # Without limits a stalled server holds a publisher for over 40 s.
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "global_keyprefix": "millrace:celery:",
}
task_ignore_result = True
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
worker_cancel_long_running_tasks_on_connection_loss = True
worker_hijack_root_logger = False
worker_send_task_events = True
task_send_sent_event = False
timezone = "UTC"
enable_utc = True

# Training keeps to its budget by itself. What a single step of it takes beyond is borne up to twice
# the budget: then the run fails, and a minute later its process is killed.
_soft_limit_s = 2 * _settings.train_time_budget_s + 60
_training_limits = {"soft_time_limit": _soft_limit_s, "time_limit": _soft_limit_s + 60}
task_annotations = {"train.run": _training_limits, "train.nightly": _training_limits}

task_default_queue = "default"
# Each queue has a routing key of its own: with the default one, each message would go to all three.
_exchange = Exchange("millrace", type="direct")
task_queues = [
    Queue(name, _exchange, routing_key=name) for name in ("ingest", "default", "training")
]
task_default_exchange = "millrace"
task_default_routing_key = "default"
task_routes = {
    "ingest.*": {"queue": "ingest"},
    "train.*": {"queue": "training"},
}

#: Jobs by day and hour do nothing when their period is done, so each is asked for more often than
#: it is due: an hour that Beat slept through costs a quarter of an hour, never a day.
beat_schedule = {
    "sweep": {"task": "ingest.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "canary": {"task": "canary.send", "schedule": 60.0, "options": {"expires": 60}},
    "aggregate": {"task": "aggregate.dirty", "schedule": 300.0, "options": {"expires": 300}},
    "aggregate-yesterday": {"task": "aggregate.daily", "schedule": crontab(hour=1, minute=0)},
    "partitions": {"task": "partitions.ahead", "schedule": crontab(hour=1, minute=30)},
    "retrain": {"task": "train.nightly", "schedule": crontab(hour=2, minute=0)},
    "purge": {
        "task": "retention.purge",
        "schedule": crontab(hour=2, minute=0, day_of_week="sunday"),
    },
    "reconcile": {"task": "metrics.reconcile", "schedule": crontab(hour=3, minute=0)},
    "catch-up": {"task": "jobs.catch_up", "schedule": 900.0, "options": {"expires": 900}},
}
