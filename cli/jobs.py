"""The timed jobs by hand: migrate, aggregate-daily, purge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from cli.installation import installation
from cli.progress import progress_bar
from cli.words import counted
from event_types import canonical_name
from models.dirty_days import read_dirty_days
from models.identities import mark_relinked_days
from models.migrate import migrate as run_migrations
from settings import Settings
from tasks import aggregate, jobs, retention

_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command(epilog="Example: ./millrace migrate")
@click.option("--to", "target", default="head", show_default=True, help="A revision, or base.")
def migrate(target: str) -> None:
    """Bring the database to the newest schema."""
    with installation(migrated=False) as (_, engine):
        print(f"schema is at {run_migrations(engine, target=target) or 'nothing'}")


@click.command("aggregate-daily", epilog="Example: ./millrace aggregate-daily --date 2026-01-31")
@click.option("--date", "day", type=_DAY, help="The day; without it, every day with new events.")
@click.option("--to", "last", type=_DAY, help="The last day of a span that begins with --date.")
@click.option("--dry-run", is_flag=True, help="Say which days would be computed.")
def aggregate_daily(day: datetime | None, last: datetime | None, dry_run: bool) -> None:
    """Compute the aggregates of a day again. Running it twice changes nothing."""
    with installation() as (settings, engine):
        zone = settings.report_timezone
        days = _chosen_days(engine, day, last, zone=zone, dry_run=dry_run)
        if dry_run:
            listed = f": {', '.join(map(str, days))}" if days else ""
            print(f"would aggregate {counted(len(days), 'day')}{listed}")
            return
        with progress_bar("aggregating", len(days), unit="days") as bar:

            def work() -> dict[str, Any]:
                done = aggregate.aggregate_days(
                    engine,
                    days,
                    zone=zone,
                    now=_now(),
                    properties=settings.counted_properties,
                    progress=bar.show,
                )
                return {"days": done.days, "events": done.events}

            outcome = _by_hand(engine, "aggregate", work)
        days_done, events = counted(outcome["days"], "day"), counted(outcome["events"], "event")
        print(f"aggregated {days_done} with {events}")


@click.command(epilog="Example: ./millrace purge --days 90 --type page_view --dry-run")
@click.option(
    "--days",
    type=click.IntRange(retention.FEWEST_DAYS),
    help="The age in days; without it ANALYTICS_RETENTION_DAYS and RETENTION_BY_TYPE.",
)
@click.option("--type", "event_type", help="Delete events of this type only.")
@click.option("--dry-run", is_flag=True, help="Count what would be deleted, delete nothing.")
def purge(days: int | None, event_type: str | None, dry_run: bool) -> None:
    """Delete old events. Counters and the figures of their days stay as they are."""
    with installation() as (settings, engine):
        wanted, by_type = _chosen_retention(settings, days, event_type)
        done = retention.Purged(cutoff=None, dry_run=dry_run)

        def work() -> dict[str, Any]:
            nonlocal done
            done = retention.purge(
                engine,
                days=wanted,
                by_type=by_type,
                zone=settings.report_timezone,
                now=_now(),
                properties=settings.counted_properties,
                dry_run=dry_run,
            )
            return done.as_outcome()

        _by_hand(engine, "purge", work)
    _print_purged(done)


def _chosen_retention(
    settings: Settings, days: int | None, event_type: str | None
) -> tuple[int | None, dict[str, int]]:
    """Give the days of all types and of some, by the options or else by the settings."""
    if event_type is None:
        return (
            (settings.retention_days, settings.retention_of_types) if days is None else (days, {})
        )
    kind = canonical_name(event_type)
    kept = settings.retention_of_types.get(kind) if days is None else days
    if kept is None:
        raise click.UsageError(f"{kind} is not in RETENTION_BY_TYPE: give --days")
    return None, {kind: kept}


def _print_purged(done: retention.Purged) -> None:
    word = "would delete" if done.dry_run else "deleted"
    before = f" from before {done.cutoff}" if done.cutoff else ""
    partitions = counted(done.partitions, "daily partition")
    whole = f", {partitions} of them whole" if done.partitions else ""
    print(f"{word} {counted(done.events, 'event')}{before}{whole}")
    for kind, events in done.by_type.most_common():
        print(f"  {kind}: {events:,}")
    if done.dead_letters:
        print(f"{word} {counted(done.dead_letters, 'dead letter')}")
    if done.dry_run:
        for name, counts in done.by_partition.items():
            listed = ", ".join(f"{kind} {events:,}" for kind, events in counts.most_common())
            print(f"  {name}: {listed}")


def _by_hand(engine: Engine, job: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    period = f"by hand {_now().isoformat(timespec='seconds')}"
    outcome = jobs.run_job(engine, job, period, work, clock=_now, once=False)
    if outcome is None:
        raise click.ClickException(f"{job} is running elsewhere: try again when it is done.")
    return outcome


def _chosen_days(
    engine: Engine, day: datetime | None, last: datetime | None, *, zone: str, dry_run: bool
) -> list[date]:
    if day is None:
        with Session(engine) as session:
            mark_relinked_days(session, zone=zone)
            days = read_dirty_days(session)
            if not dry_run:
                session.commit()
            return days
    first = day.date()
    end = last.date() if last else first
    if end < first:
        raise click.BadParameter("--to must not lie before --date")
    return [first + timedelta(days=n) for n in range((end - first).days + 1)]


def _now() -> datetime:
    return datetime.now(UTC)
