"""Every Celery task: its name, its limits, and the plain function that does the work.

A task takes JSON values, is safe to run twice, and is a few lines long. Queues are given in
`celeryconfig.task_routes`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from celery import Task
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import SQLAlchemyError

import inbox
from models.database import transaction
from models.erasures import read_unfinished
from models.suppressions import SecretKeyMissingError
from tasks import aggregate, erase, jobs, reconcile, retention, train
from tasks.canary import send_canary
from tasks.celery_app import app
from tasks.direct import store_direct
from tasks.ingest import sweep
from tasks.resources import resources
from tasks.training_attempt import Limits

log = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC)


@app.task(name="ingest.drain", soft_time_limit=300, time_limit=330, acks_late=False)
def drain() -> dict[str, int]:
    """Store what waits in the inbox. The message carries nothing, so losing it costs nothing."""
    here = resources()
    try:
        result = here.drainer.drain()
        here.redis.delete(inbox.BELL)
        # What came after the last look found the bell rung: look once more, now that it is not.
        result.add(here.drainer.drain())
        return result.as_dict()
    except SQLAlchemyError as error:
        # Not the data's fault: that would be a dead letter. The batches stay pending, and the sweep
        # rings again in a few seconds.
        reason = str(getattr(error, "orig", error))
        log.error("store_unavailable", error=reason.partition("\n")[0])
        return {}


@app.task(name="ingest.sweep", soft_time_limit=30, time_limit=60, acks_late=False)
def ring_if_needed() -> bool:
    """Ring when the inbox has entries: a bell that was lost costs seconds, never data."""
    needed = sweep(resources().redis)
    if needed:
        drain.apply_async(expires=60)
    return needed


@app.task(
    name="ingest.store",
    bind=True,
    soft_time_limit=120,
    time_limit=150,
    # None of these is the data's fault, and the message is the only copy of the events.
    autoretry_for=(SQLAlchemyError, SecretKeyMissingError, SoftTimeLimitExceeded),
    retry_backoff=True,
    retry_backoff_max=60,
    max_retries=None,
)
def store(self: Task[Any, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    """Store events that another service enqueued itself. Delivered twice, they count once."""
    here = resources()
    return store_direct(
        here.engine,
        here.settings,
        events,
        task_id=str(self.request.id),
        now=_now(),
        known_days=here.drainer.known_days,
    )


@app.task(name="aggregate.dirty", soft_time_limit=1800, time_limit=1830)
def aggregate_dirty() -> dict[str, Any] | None:
    """Aggregate the days that have new events."""
    here = resources()

    def work() -> dict[str, Any]:
        done = aggregate.aggregate_dirty(
            here.engine,
            zone=here.settings.report_timezone,
            now=_now(),
            properties=here.settings.counted_properties,
        )
        return {"days": done.days, "events": done.events}

    return jobs.run_job(
        here.engine, "aggregate", _now().date().isoformat(), work, clock=_now, once=False
    )


@app.task(name="aggregate.daily", soft_time_limit=1800, time_limit=1830)
def aggregate_daily(day: str | None = None) -> dict[str, Any] | None:
    """Aggregate one day, yesterday by default, with whatever else is dirty."""
    here = resources()
    zone = here.settings.zone
    period = jobs.DAILY.last_period(_now()) if day is None else f"of {day}"
    wanted = (
        _now().astimezone(zone).date() - timedelta(days=1)
        if day is None
        else date.fromisoformat(day)
    )

    def work() -> dict[str, Any]:
        name = here.settings.report_timezone
        counted = here.settings.counted_properties
        done = aggregate.aggregate_days(
            here.engine, [wanted], zone=name, now=_now(), properties=counted
        )
        rest = aggregate.aggregate_dirty(here.engine, zone=name, now=_now(), properties=counted)
        return {"day": str(wanted), "events": done.events, "more_days": rest.days}

    return jobs.run_job(here.engine, jobs.DAILY.job, period, work, clock=_now, once=day is None)


@app.task(name="partitions.ahead", soft_time_limit=120, time_limit=150)
def partitions_ahead() -> dict[str, Any] | None:
    """Make the partitions of the coming week."""
    here = resources()
    return jobs.run_job(
        here.engine,
        jobs.PARTITIONS.job,
        jobs.PARTITIONS.last_period(_now()),
        lambda: {"made": retention.ensure_partitions_ahead(here.engine, now=_now())},
        clock=_now,
    )


@app.task(name="retention.purge", soft_time_limit=3600, time_limit=3630)
def purge(days: int | None = None, dry_run: bool = False) -> dict[str, Any] | None:
    """Purge events beyond the retention, each type beyond its own, or all beyond `days`."""
    here = resources()
    period = jobs.PURGE.last_period(_now()) if days is None else f"by hand {_now().isoformat()}"

    def work() -> dict[str, Any]:
        done = retention.purge(
            here.engine,
            days=here.settings.retention_days if days is None else days,
            by_type=here.settings.retention_of_types if days is None else {},
            zone=here.settings.report_timezone,
            now=_now(),
            properties=here.settings.counted_properties,
            dry_run=dry_run,
        )
        return done.as_outcome()

    return jobs.run_job(here.engine, jobs.PURGE.job, period, work, clock=_now, once=days is None)


@app.task(name="privacy.erase", soft_time_limit=3600, time_limit=3630)
def erase_person(erasure_id: str) -> bool:
    """Carry out a requested erasure. The message names nobody: the ids stand in the request."""
    here = resources()
    finished = erase.erase(
        here.engine,
        here.redis,
        UUID(erasure_id),
        secret_key=here.settings.secret_key,
        zone=here.settings.report_timezone,
        clock=_now,
        spool=here.spool,
    )
    aggregate_dirty()
    return finished


@app.task(name="metrics.reconcile", soft_time_limit=1800, time_limit=1830)
def reconcile_metrics() -> dict[str, Any] | None:
    """Recount the counters of tonight's sample of products."""
    here = resources()
    period = jobs.RECONCILE.last_period(_now())

    def work() -> dict[str, Any]:
        day = date.fromisoformat(period)
        return reconcile.reconcile(here.engine, day=day, zone=here.settings.report_timezone)

    return jobs.run_job(here.engine, jobs.RECONCILE.job, period, work, clock=_now)


@app.task(name="train.run", acks_late=False)
def train_run(run_id: int) -> dict[str, Any]:
    """Carry out one requested training run. Its time limits follow TRAIN_TIME_BUDGET_S."""
    here = resources()
    budget_s = here.settings.train_time_budget_s
    stopped = f"stopped: it took over twice its {budget_s:,} seconds (TRAIN_TIME_BUDGET_S)"
    try:
        return train.carry_out(
            here.engine,
            run_id,
            limits=Limits.of(here.settings),
            clock=_now,
            reasons={SoftTimeLimitExceeded: stopped},
        )
    finally:
        send_waiting_training()


def send_waiting_training() -> int | None:
    """Send the run that waits longest, unless somebody trains; give its id.

    A run is recorded before its message is sent: the message may be lost, or sent twice.
    """
    waiting = train.next_waiting(resources().engine, now=_now())
    if waiting is not None:
        train_run.apply_async(kwargs={"run_id": waiting}, expires=900)
    return waiting


@app.task(name="train.nightly", acks_late=False)
def train_nightly() -> dict[str, Any] | None:
    """Retrain on the days of the setting, once a night.

    The period is done when the run is recorded: from then on it is begun again like any other.
    """
    here = resources()

    def work() -> dict[str, Any]:
        run_id = train.request_run(
            here.engine, days=here.settings.train_days, now=_now(), requested_by="timetable"
        )
        return {"run_id": run_id}

    asked = jobs.run_job(
        here.engine, jobs.RETRAIN.job, jobs.RETRAIN.last_period(_now()), work, clock=_now
    )
    return None if asked is None else train_run(run_id=asked["run_id"])


@app.task(name="jobs.catch_up", soft_time_limit=60, time_limit=90, acks_late=False)
def catch_up() -> list[str]:
    """Send the tasks of missed periods, of unfinished erasures, and of a training that waits."""
    late = jobs.overdue(resources().engine, now=_now())
    for due in late:
        app.send_task(due.task)
    with transaction(resources().engine) as session:
        unfinished = read_unfinished(session)
    for erasure_id in unfinished:
        erase_person.delay(str(erasure_id))
    waiting = send_waiting_training()
    return [
        *(due.task for due in late),
        *("privacy.erase" for _ in unfinished),
        *([] if waiting is None else ["train.run"]),
    ]


@app.task(name="canary.send", soft_time_limit=30, time_limit=60, acks_late=False)
def canary() -> bool:
    """Put a canary into the inbox; the next drain finds it."""
    here = resources()
    if here.settings.canary:
        send_canary(here.redis, now=_now())
        drain.apply_async(expires=60)
    return here.settings.canary


@app.task(name="inbox.depth", soft_time_limit=10, time_limit=15)
def inbox_depth() -> dict[str, float]:
    """Measure the inbox, for people who look with `celery call`."""
    depth = inbox.read_depth(resources().redis)
    return {"batches": depth.batches, "pending": depth.pending, "oldest_age_s": depth.oldest_age_s}
