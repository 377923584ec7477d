"""`./millrace doctor`: look at everything a Millrace stands on, and say what to do."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import click
from redis.exceptions import RedisError
from rich.console import Console
from rich.markup import escape
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import SQLAlchemyError

import inbox
from cli.servers import ServerError, connect
from cli.servers.account import owner_name
from cli.servers.directory import holder
from models.database import make_engine, transaction
from models.job_runs import JobRun
from models.migrate import newest_revision, read_revision
from settings import Settings, read_settings, resolve_data_dir

ROOT = Path(__file__).resolve().parents[1]
OK, WARNING, ERROR = "ok", "warning", "error"
COLOURS = {OK: "green", WARNING: "yellow", ERROR: "red"}
TIMEOUT_S = 5.0
LOW_DISK_BYTES = 2 << 30
LATE_AFTER = timedelta(minutes=30)
WORST_DRIFT_S = 5.0
WORST_AGE_S = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    id: str
    status: str
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at. Without servers, those that need them say so."""

    settings: Settings
    data_dir: Path
    running: int | None
    reachable: bool


def check_python(patient: Patient) -> Finding:
    """Look at the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        return Finding("python", WARNING, f"{version}, not tried", "Use Python 3.11 to 3.14")
    return Finding("python", OK, version)


def check_packages(patient: Patient) -> Finding:
    """Compare the installed packages with the pinned ones."""
    pinned = dict(
        line.split(" ;")[0].rstrip(" \\").split("==")
        for name in ("requirements.txt", "requirements-embedded.txt")
        for line in (ROOT / name).read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#")) and " ;" not in line
    )
    wrong = [name for name, version in pinned.items() if _installed(name) != version]
    if wrong:
        return Finding(
            "packages",
            ERROR,
            f"{len(wrong)} of {len(pinned)} differ from the pinned lists: {', '.join(wrong[:5])}",
            f"Remove {ROOT / '.venv'} and start again",
        )
    return Finding("packages", OK, f"{len(pinned)} as pinned")


def check_account(patient: Patient) -> Finding:
    """Look at who runs it."""
    if os.geteuid() == 0:
        return Finding(
            "account",
            WARNING,
            "running as root",
            "Run Millrace as an ordinary user; a program that faces the network needs no more",
        )
    return Finding("account", OK, owner_name(os.geteuid()))


def check_data_dir(patient: Patient) -> Finding:
    """Look at the data directory."""
    path = patient.data_dir
    place = next(p for p in (path, *path.parents) if p.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        owner = owner_name(place.stat().st_uid)
        return Finding(
            "data_dir", ERROR, f"{place} belongs to {owner}", f"Start as {owner} or set MILLRACE_DATA_DIR"
        )
    state = f"in use by process {patient.running}" if patient.running else "not in use"
    return Finding("data_dir", OK, f"{path} ({state if path.exists() else 'made at the first start'})")


def check_disk(patient: Patient) -> Finding:
    """Look at the space for data."""
    place = next(p for p in (patient.data_dir, *patient.data_dir.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < LOW_DISK_BYTES:
        return Finding(
            "disk", ERROR if free < LOW_DISK_BYTES // 10 else WARNING, f"{free >> 20} MB free", "Free some space"
        )
    return Finding("disk", OK, f"{free >> 30} GB free")


def check_ports(patient: Patient) -> Iterator[Finding]:
    """Look whether the ports are free, or answered by this Millrace."""
    from cli.run import ask_ready, why_not_bindable

    wanted = (
        ("port", patient.settings.host, patient.settings.port, "PORT"),
        ("flower_port", "127.0.0.1", patient.settings.flower_port, "FLOWER_PORT"),
    )
    for name, host, port, variable in wanted:
        reason = why_not_bindable(host, port)
        if reason is None:
            yield Finding(name, OK, f"{host}:{port} is free")
        elif patient.running is None:
            yield Finding(name, ERROR, f"{host}:{port}: {reason}", f"Set {variable} to a free port")
        elif name == "flower_port":
            yield Finding(name, OK, f"{host}:{port} is taken, Millrace is running")
        else:
            ready, answer = ask_ready(patient.settings)
            yield Finding(
                name,
                OK if ready else ERROR,
                f"{host}:{port} answers: {'ready' if ready else answer.strip()[:200]}",
                "" if ready else f"Look into {patient.data_dir / 'log' / 'web.log'}",
            )


def check_clock(patient: Patient) -> Finding:
    """Look for a clock that is plainly wrong."""
    now, built = datetime.now(UTC), datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if now < built - timedelta(days=1):
        return Finding("clock", ERROR, f"{now:%Y-%m-%d %H:%M} UTC, before this file was made", "Set the clock (NTP)")
    return Finding("clock", OK, f"{now:%Y-%m-%d %H:%M} UTC")


def check_database(patient: Patient) -> Iterator[Finding]:
    """Reach the database and look at its schema, its clock and the timetable's traces."""
    if not patient.reachable:
        yield Finding("database", OK, "none yet; ./millrace run makes it")
        return
    engine = make_engine(patient.settings.sqlalchemy_url, application="doctor")
    try:
        yield _look_at_schema(engine)
        yield _look_at_drift(engine)
        yield _look_at_beat(engine, running=patient.running is not None)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        yield Finding("database", ERROR, f"cannot be used: {reason}", "Check DATABASE_URL and the server")
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
            "database", ERROR, f"PostgreSQL {version}, schema {revision}, newest {newest}", "Run ./millrace migrate"
        )
    return Finding("database", OK, f"PostgreSQL {version}, schema {revision}")


def _look_at_drift(engine: Engine) -> Finding:
    with engine.connect() as connection:
        theirs = connection.scalar(text("SELECT clock_timestamp()"))
    drift_s = abs((datetime.now(UTC) - theirs).total_seconds()) if theirs else 0.0
    if drift_s > WORST_DRIFT_S:
        return Finding(
            "clock_drift", ERROR, f"the database's clock differs by {drift_s:.0f} s", "Set both clocks (NTP)"
        )
    return Finding("clock_drift", OK, f"{drift_s:.1f} s between the database's clock and ours")


def _look_at_beat(engine: Engine, *, running: bool) -> Finding:
    with transaction(engine) as session:
        last = session.scalars(select(JobRun).order_by(JobRun.started_at.desc()).limit(1)).first()
        failed = session.scalars(
            select(JobRun.job).where(JobRun.status == "failed").order_by(JobRun.started_at.desc()).limit(3)
        ).all()
    if failed:
        return Finding("beat", WARNING, f"failed lately: {', '.join(failed)}", "Look into log/worker.log")
    if last is None:
        return Finding("beat", OK, "no job has run yet")
    age = datetime.now(UTC) - last.started_at
    found = f"last job: {last.job} {last.period}, {int(age.total_seconds() // 60)} minutes ago"
    if age > LATE_AFTER and running:
        return Finding("beat", WARNING, found, "Look into log/beat.log; run exactly one Beat")
    return Finding("beat", OK, found)


def check_broker(patient: Patient) -> Iterator[Finding]:
    """Reach the inbox's server and look at its version, its eviction policy and what waits."""
    if not patient.reachable:
        yield Finding("broker", OK, "none yet; ./millrace run makes it")
        return
    client = inbox.connect(patient.settings.redis_url, timeout_s=TIMEOUT_S)
    try:
        server: dict[str, object] = dict(client.info("server"))
        policy = inbox.read_policy(client)
        name = f"Valkey {server['valkey_version']}" if "valkey_version" in server else f"Redis {server['redis_version']}"
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
    except (RedisError, OSError, ValueError) as error:
        yield Finding("broker", ERROR, f"cannot be reached: {error}", "Check REDIS_URL and the server")
    finally:
        client.close()


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
    return Finding("workers", ERROR, f"{names or 'none'} answers", "Look into log/worker.log, log/trainer.log")


Check = Callable[[Patient], Finding | Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    check_python,
    check_packages,
    check_account,
    check_data_dir,
    check_disk,
    check_ports,
    check_clock,
    check_database,
    check_broker,
    check_workers,
)


def examine(settings: Settings) -> list[Finding]:
    """Run all checks. Servers that hold data are started for it; none is made."""
    data_dir = resolve_data_dir(settings, root=ROOT).resolve()
    patient = Patient(settings, data_dir, running=holder(data_dir), reachable=False)
    given = settings.database_url and settings.redis_url
    if not (given or patient.running or (data_dir / "postgres" / "PG_VERSION").exists()):
        return _run_checks(patient)
    try:
        with connect(settings) as filled:
            return _run_checks(replace(patient, settings=filled, reachable=True))
    except ServerError as error:
        return [*_run_checks(patient), Finding("servers", ERROR, str(error))]


def _run_checks(patient: Patient) -> list[Finding]:
    findings = []
    for check in CHECKS:
        result = check(patient)
        findings += [result] if isinstance(result, Finding) else list(result)
    return findings


def _installed(name: str) -> str | None:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(name.split("[")[0])
    return None


@click.command(epilog="Example: ./millrace doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> int:
    """Look for what is wrong and say what to do. Exit code 1 if something must be done."""
    findings = examine(read_settings())
    ok = all(finding.status != ERROR for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": ok, "findings": [asdict(finding) for finding in findings]}))
        return 0 if ok else 1
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        mark = f"[{COLOURS[finding.status]}]{finding.status:<8}[/]"
        console.print(f"{mark} {finding.id:<12} {escape(finding.found)}")
        if finding.remedy:
            console.print(f"{'':<22}[bold]{escape(finding.remedy)}[/]")
    return 0 if ok else 1
