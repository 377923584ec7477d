"""Checks of the services: database, broker, inbox, workers, Beat."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import SQLAlchemyError

import inbox
from app.artefact_check import find_fault
from canary import TOO_OLD_S, read_arrival
from cli.doctor.finding import ERROR, OK, WARNING, Finding, Patient
from models.database import make_engine, transaction
from models.dead_letter_list import LetterFilter, count_by_reason, count_up_to
from models.hourly_aggregates import read_days_of_other_zones
from models.job_runs import JobRun, read_last_done
from models.migrate import newest_revision, read_revision
from models.model_artefacts import find_missing, read_champion
from models.suppressions import Salts, has_suppressions, uses_another_key
from models.training_runs import FAILED, read_last_run

TIMEOUT_S = 5.0
LATE_AFTER = timedelta(minutes=30)
RECENT = timedelta(days=7)
WORST_DRIFT_S = 5.0
WORST_AGE_S = 60.0
QUESTIONS_AT_ONCE = 10


def check_database(patient: Patient) -> Iterator[Finding]:
    """Reach the database and look at its schema, its clock and the timetable's traces."""
    if not patient.reachable:
        yield Finding("database", OK, "none yet; ./millrace run makes it")
        return
    engine = make_engine(patient.settings.sqlalchemy_url, application="doctor")
    try:
        yield _look_at_schema(engine)
        yield _look_at_locks(engine, days=patient.settings.retention_days)
        yield _look_at_drift(engine)
        yield _look_at_beat(engine, running=patient.running is not None)
        yield _look_at_counters(engine)
        yield _look_at_letters(engine, limit=patient.settings.dead_letters_alarm)
        yield _look_at_model(engine)
        yield _look_at_zone(engine, zone=patient.settings.report_timezone)
        yield _look_at_secret(engine, secret_key=patient.settings.secret_key)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        yield Finding(
            "database", ERROR, f"cannot be used: {reason}", "Check DATABASE_URL and the server"
        )
    finally:
        engine.dispose()


def _look_at_schema(engine: Engine) -> Finding:
    with engine.connect() as connection:
        version = str(connection.scalar(text("SHOW server_version"))).split()[0]
        revision, newest = read_revision(connection), newest_revision()
    if int(version.split(".")[0]) < 15:
        return Finding("database", ERROR, f"PostgreSQL {version}", "Use PostgreSQL 15 or newer")
    if revision != newest:
        return Finding(
            "database",
            ERROR,
            f"PostgreSQL {version}, schema {revision}, newest {newest}",
            "Run ./millrace migrate",
        )
    return Finding("database", OK, f"PostgreSQL {version}, schema {revision}")


def _look_at_locks(engine: Engine, *, days: int) -> Finding:
    """A question about all days locks each partition with its indices, and several are asked."""
    with engine.connect() as connection:
        partitions, each, room = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM pg_inherits "
                "WHERE inhparent = CAST('events' AS regclass)), "
                "(SELECT count(*) + 1 FROM pg_index "
                "WHERE indrelid = CAST('events_undated' AS regclass)), "
                "CAST(current_setting('max_locks_per_transaction') AS int) * "
                "(CAST(current_setting('max_connections') AS int) + "
                "CAST(current_setting('max_prepared_transactions') AS int))"
            )
        ).one()
    needed = max(partitions, days) * each
    found = f"room for {room:,}; a question about all days takes up to {needed:,}"
    if room < QUESTIONS_AT_ONCE * needed:
        return Finding(
            "locks",
            WARNING,
            found,
            "Set max_locks_per_transaction = 1024 and start PostgreSQL again",
        )
    return Finding("locks", OK, found)


def _look_at_drift(engine: Engine) -> Finding:
    with engine.connect() as connection:
        theirs = connection.scalar(text("SELECT clock_timestamp()"))
    drift_s = abs((datetime.now(UTC) - theirs).total_seconds()) if theirs else 0.0
    if drift_s > WORST_DRIFT_S:
        return Finding(
            "clock_drift",
            ERROR,
            f"the database's clock differs by {drift_s:.0f} s",
            "Set both clocks (NTP)",
        )
    return Finding("clock_drift", OK, f"{drift_s:.1f} s between the database's clock and ours")


def _look_at_beat(engine: Engine, *, running: bool) -> Finding:
    with transaction(engine) as session:
        last = session.scalars(select(JobRun).order_by(JobRun.started_at.desc()).limit(1)).first()
        failed = session.scalars(
            select(JobRun.job)
            .where(JobRun.status == "failed", JobRun.started_at > datetime.now(UTC) - RECENT)
            .distinct()
        ).all()
    if failed:
        return Finding(
            "beat", WARNING, f"failed lately: {', '.join(failed)}", "Look into log/worker.log"
        )
    if last is None:
        return Finding("beat", OK, "no job has run yet")
    age = datetime.now(UTC) - last.started_at
    found = f"last job: {last.job} {last.period}, {int(age.total_seconds() // 60)} minutes ago"
    if age > LATE_AFTER and running:
        return Finding("beat", WARNING, found, "Look into log/beat.log; run exactly one Beat")
    return Finding("beat", OK, found)


def _look_at_counters(engine: Engine) -> Finding:
    with transaction(engine) as session:
        last = read_last_done(session, "reconcile")
    if last is None or last.outcome is None:
        return Finding("counters", OK, "not recounted yet; that happens every night")
    checked, drifted = last.outcome["checked"], last.outcome["drifted"]
    found = f"{last.period}: {checked:,} products recounted, {drifted:,} with wrong counters"
    if drifted:
        return Finding(
            "counters", ERROR, found, "Run ./millrace rebuild-metrics and report the drift it tells"
        )
    return Finding("counters", OK, found)


def _look_at_letters(engine: Engine, *, limit: int) -> Finding:
    with transaction(engine) as session:
        waiting = count_up_to(session, limit)
        if waiting <= limit:
            return Finding("dead_letters", OK, f"{waiting:,} wait; {limit:,} may")
        worst = count_by_reason(session, LetterFilter(), recent_since=datetime.now(UTC) - RECENT)
    total, recent = sum(row.letters for row in worst), sum(row.recent for row in worst)
    reasons = ", ".join(f"{row.letters:,} {row.reason}" for row in worst[:3])
    return Finding(
        "dead_letters",
        WARNING,
        f"{total:,} wait, {recent:,} of the last week: {reasons}",
        "Run ./millrace dead-letters list --counts; docs/operations.md says what to do for each",
    )


def _look_at_model(engine: Engine) -> Finding:
    with transaction(engine) as session:
        champion, missing = read_champion(session), find_missing(session)
        fault = find_fault(champion) if champion else None
        last = read_last_run(session)
    if missing is not None:
        return _unservable(missing, "it is gone")
    if champion and fault:
        return _unservable(champion.version, fault)
    found = f"version {champion.version} is served" if champion else "no model is served yet"
    if last is not None and last.status == FAILED:
        return Finding(
            "model",
            WARNING,
            f"{found}; the last training failed: {last.reason}",
            "Look into log/trainer.log and run ./millrace retrain",
        )
    return Finding("model", OK, found)


def _unservable(version: int, fault: str) -> Finding:
    return Finding(
        "model",
        ERROR,
        f"version {version} is promoted and cannot be served: {fault}",
        "Run ./millrace retrain, or ./millrace models rollback",
    )


def _look_at_zone(engine: Engine, *, zone: str) -> Finding:
    with transaction(engine) as session:
        days = read_days_of_other_zones(session, zone=zone)
    if days is None:
        return Finding("zone", OK, f"days begin and end in {zone}")
    first, last = days
    return Finding(
        "zone",
        ERROR,
        f"days of {first} to {last} were aggregated in another zone than {zone}",
        f"Run ./millrace aggregate-daily --date {first - timedelta(days=1)} "
        f"--to {last + timedelta(days=1)}",
    )


def _look_at_secret(engine: Engine, *, secret_key: str) -> Finding:
    with transaction(engine) as session:
        if not has_suppressions(session):
            return Finding("secret_key", OK, "nobody has opted out or was erased")
        known = bool(secret_key) and not uses_another_key(session, Salts.of(secret_key))
    if known:
        return Finding("secret_key", OK, "the one that opt-outs and erasures were kept with")
    return Finding(
        "secret_key",
        ERROR,
        "SECRET_KEY is not the one that opt-outs and erasures were kept with: they are not heeded",
        "Set the SECRET_KEY of that time, for every process",
    )


def check_broker(patient: Patient) -> Iterator[Finding]:
    """Reach the inbox's server and look at its version, its eviction policy and what waits."""
    if not patient.reachable:
        yield Finding("broker", OK, "none yet; ./millrace run makes it")
        return
    client = inbox.connect(patient.settings.redis_url, timeout_s=TIMEOUT_S)
    try:
        server: dict[str, object] = dict(client.info("server"))
        policy = inbox.read_policy(client)
        name = (
            f"Valkey {server['valkey_version']}"
            if "valkey_version" in server
            else f"Redis {server['redis_version']}"
        )
        if policy == "noeviction":
            yield Finding("broker", OK, f"{name}, noeviction")
        else:
            yield Finding(
                "broker",
                ERROR,
                f"{name} with maxmemory-policy {policy}: it may drop accepted events",
                "Set maxmemory-policy noeviction",
            )
        depth = inbox.read_depth(client)
        late = depth.oldest_age_s > WORST_AGE_S
        yield Finding(
            "inbox",
            WARNING if late else OK,
            f"{depth.batches} batches wait, {depth.pending} taken, {depth.size_bytes >> 10} kB, "
            f"oldest {depth.oldest_age_s:.0f} s",
            "Is the worker running? Look into log/worker.log" if late else "",
        )
        if patient.settings.canary:
            yield _look_at_canary(client, running=patient.running is not None)
    except (RedisError, OSError, ValueError) as error:
        yield Finding(
            "broker", ERROR, f"cannot be reached: {error}", "Check REDIS_URL and the server"
        )
    finally:
        client.close()


def _look_at_canary(client: redis.Redis, *, running: bool) -> Finding:
    canary, now_s = read_arrival(client), datetime.now(UTC).timestamp()
    if canary is None:
        return Finding("canary", OK, "none has arrived yet; one is sent every minute")
    age_s = canary.age_s(now_s)
    found = f"the last one was sent {age_s:.0f} s ago and took {canary.took_s:.1f} s"
    if running and age_s > TOO_OLD_S:
        return Finding(
            "canary",
            ERROR,
            found,
            "What is accepted is not stored: look into log/beat.log and log/worker.log",
        )
    return Finding("canary", OK, found)


def check_workers(patient: Patient) -> Finding:
    """Ask the workers for a sign of life."""
    if not patient.reachable:
        return Finding("workers", OK, "not started")
    # Celery reads the environment when it is imported, so not before `connect`.
    from tasks.celery_app import app

    try:
        with app.connection_for_write() as connection:
            answers = app.control.inspect(timeout=1.0, connection=connection).ping() or {}
    except Exception as error:
        return Finding("workers", ERROR, f"cannot be asked: {error}", "Check CELERY_BROKER_URL")
    names = ", ".join(sorted(answers))
    if {name.split("@")[0] for name in answers} >= {"worker", "trainer"}:
        return Finding("workers", OK, names)
    if patient.running is None:
        return Finding("workers", WARNING, names or "none answers", "Start them: ./millrace run")
    return Finding(
        "workers", ERROR, f"{names or 'none'} answers", "Look into log/worker.log, log/trainer.log"
    )
