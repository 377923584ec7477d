"""The timed jobs by hand: migrate, aggregate-daily, purge, retrain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy import Engine

from cli.installation import installation
from models.database import transaction
from models.dirty_days import read_dirty_days
from models.migrate import migrate as run_migrations
from models.training_runs import TrainingRun
from tasks import aggregate, jobs, retention, train

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
        days = _chosen_days(engine, day, last)
        if dry_run:
            print(f"would aggregate {len(days)} days: {', '.join(map(str, days)) or 'none'}")
            return
        zone = settings.report_timezone
        with _progress("aggregating", len(days)) as advance:

            def work() -> dict[str, Any]:
                done = aggregate.aggregate_days(
                    engine, days, zone=zone, now=_now(), progress=advance
                )
                return {"days": done.days, "events": done.events}

            outcome = _by_hand(engine, "aggregate", work)
        print(f"aggregated {outcome['days']} days with {outcome['events']:,} events")


@click.command(epilog="Example: ./millrace purge --days 90 --dry-run")
@click.option(
    "--days",
    type=click.IntRange(retention.FEWEST_DAYS),
    help="The age in days; ANALYTICS_RETENTION_DAYS without it.",
)
@click.option("--dry-run", is_flag=True, help="Count what would be deleted, delete nothing.")
def purge(days: int | None, dry_run: bool) -> None:
    """Delete old events. Counters and the figures of their days stay as they are."""
    with installation() as (settings, engine):

        def work() -> dict[str, Any]:
            done = retention.purge(
                engine,
                days=days or settings.retention_days,
                zone=settings.report_timezone,
                now=_now(),
                dry_run=dry_run,
            )
            return {
                "cutoff": str(done.cutoff),
                "partitions": done.partitions,
                "events": done.events,
                "dry_run": dry_run,
            }

        outcome = _by_hand(engine, "purge", work)
    word = "would delete" if dry_run else "deleted"
    print(
        f"{word} {outcome['events']:,} events from before {outcome['cutoff']} "
        f"({outcome['partitions']} daily partitions)"
    )


@click.command(epilog="Example: ./millrace retrain --days 30")
@click.option(
    "--days", type=click.IntRange(1), help="Days of events to read; TRAIN_DAYS without it."
)
@click.option("--seed", default=0, show_default=True, help="Same seed and data, same model.")
def retrain(days: int | None, seed: int) -> None:
    """Train the recommendations now, judge them, and serve them if they are better."""
    console = Console()
    with installation() as (settings, engine):
        run_id = train.request_run(engine, days=days or settings.train_days, now=_now())
        with console.status("training") as status:
            result = train.carry_out(
                engine,
                run_id,
                clock=_now,
                seed=seed,
                progress=lambda stage: status.update(f"training: {stage}"),
            )
        with transaction(engine) as session:
            figures = session.get_one(TrainingRun, run_id).figures or {}
    print_evaluation(console, figures)
    console.print(f"run {run_id}: {result['status']}. {result['reason']}", highlight=False)
    if result["version"] is not None:
        console.print(f"kept as version {result['version']}")


def print_evaluation(console: Console, figures: dict[str, Any]) -> None:
    """Print a table of the candidate and its baselines, if there was an evaluation."""
    from rich.table import Table

    if not figures.get("metrics"):
        return
    table = Table(title=f"{figures['num_people_tested']:,} people, days the models had not seen")
    rows = {"candidate": figures["metrics"], **figures["baselines"]}
    table.add_column("model")
    for name in figures["metrics"]:
        table.add_column(name, justify="right")
    for model, metrics in rows.items():
        cells = [
            f"{value:.4f}" if isinstance(value, float) else str(value) for value in metrics.values()
        ]
        table.add_row(model, *cells)
    console.print(table)


def _by_hand(engine: Engine, job: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    period = f"by hand {_now().isoformat(timespec='seconds')}"
    outcome = jobs.run_job(engine, job, period, work, clock=_now, once=False)
    if outcome is None:
        raise click.ClickException(f"{job} is running elsewhere: try again when it is done.")
    return outcome


def _chosen_days(engine: Engine, day: datetime | None, last: datetime | None) -> list[date]:
    if day is None:
        with transaction(engine) as session:
            return read_dirty_days(session)
    first = day.date()
    end = last.date() if last else first
    if end < first:
        raise click.BadParameter("--to must not lie before --date")
    return [first + timedelta(days=n) for n in range((end - first).days + 1)]


@contextmanager
def _progress(text: str, total: int) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TextColumn("days"))
    with Progress(*columns, transient=True, disable=total < 2) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done, _: bar.update(task, completed=done)


def _now() -> datetime:
    return datetime.now(UTC)
