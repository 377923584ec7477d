"""Product metrics by hand: create-missing-metrics, metrics-coverage, rebuild-metrics."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from cli.installation import installation
from cli.progress import progress_bar
from cli.words import counted
from models.counter_drift import Drift
from models.database import transaction
from models.metrics_coverage import Coverage, read_coverage, read_products_without_metrics
from models.product_metrics import bulk_ensure_metrics
from tasks import jobs, reconcile


@click.command(
    "create-missing-metrics",
    epilog="Example: ./millrace create-missing-metrics --dry-run --batch-size 500",
)
@click.option("--dry-run", is_flag=True, help="Count what would be made, make nothing.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 50_000),
    default=1000,
    show_default=True,
    help="Rows of one transaction.",
)
def create_missing_metrics(dry_run: bool, batch_size: int) -> None:
    """Make metrics rows, all zero, for the products of the catalogue that have none.

    The first event of a product makes its row too. Running it twice, or while events come in,
    changes nothing that is there.
    """
    with installation() as (_, engine):
        with transaction(engine) as session:
            coverage = read_coverage(session)
        if dry_run:
            print(f"would make {_rows(coverage.without_metrics, coverage)}")
            return
        made = 0
        with progress_bar("making rows", coverage.without_metrics, unit="rows") as bar:
            while True:
                with transaction(engine) as session:
                    missing = read_products_without_metrics(session, limit=batch_size)
                    made += bulk_ensure_metrics(session, missing)
                if not missing:
                    break
                bar.set(made)
        print(f"made {_rows(made, coverage)}")


def _rows(number: int, coverage: Coverage) -> str:
    return f"{counted(number, 'metrics row')} for {counted(coverage.products, 'product')}"


@click.command("metrics-coverage", epilog="Example: ./millrace metrics-coverage --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def metrics_coverage(as_json: bool) -> None:
    """Count the products of the catalogue with and without metrics."""
    with installation() as (_, engine), transaction(engine) as session:
        coverage = read_coverage(session)
    if as_json:
        print(orjson.dumps(as_answer(coverage)).decode())
        return
    share = "none" if coverage.share is None else f"{coverage.share:.1%}"
    print(f"{counted(coverage.products, 'product')} in the catalogue")
    print(f"{coverage.with_metrics:,} with metrics ({share})")
    hint = ": ./millrace create-missing-metrics makes them" if coverage.without_metrics else ""
    print(f"{coverage.without_metrics:,} without{hint}")
    print(f"{counted(coverage.unknown_products, 'product')} with metrics but not in the catalogue")


def as_answer(coverage: Coverage) -> dict[str, Any]:
    """Give a coverage as it stands in the JSON answer."""
    return {
        "products": coverage.products,
        "with_metrics": coverage.with_metrics,
        "without_metrics": coverage.without_metrics,
        "unknown_products": coverage.unknown_products,
        "share": coverage.share,
    }


@click.command("rebuild-metrics", epilog="Example: ./millrace rebuild-metrics --dry-run")
@click.option("--dry-run", is_flag=True, help="Tell the drift, correct nothing.")
def rebuild_metrics(dry_run: bool) -> None:
    """Count every product's stored and purged events again, and correct counters that differ.

    Events may come in meanwhile. The drift must be zero: anything else is a bug to report. With
    --dry-run it exits with 1 if there is some.
    """
    with installation() as (settings, engine):
        found: list[reconcile.Rebuilt] = []

        def work() -> dict[str, Any]:
            with progress_bar("recounting", 0, unit="partitions") as bar:
                rebuilt = reconcile.rebuild(
                    engine, zone=settings.report_timezone, dry_run=dry_run, progress=bar.show
                )
            found.append(rebuilt)
            return {
                "checked": rebuilt.drift.checked,
                "drifted": rebuilt.drift.drifted,
                "corrected": rebuilt.corrected,
                "dry_run": dry_run,
            }

        period = f"by hand {_now().isoformat(timespec='seconds')}"
        if jobs.run_job(engine, "rebuild-metrics", period, work, clock=_now, once=False) is None:
            raise click.ClickException("rebuild-metrics is running elsewhere: try again later.")
    print_drift(Console(highlight=False), found[0].drift)
    if found[0].corrected:
        print(f"corrected {counted(found[0].corrected, 'product')}")
    sys.exit(1 if dry_run and found[0].drift.drifted else 0)


def print_drift(console: Console, drift: Drift) -> None:
    """Print the counters beside their recount, and how far they are apart."""
    table = Table(
        title=f"{counted(drift.checked, 'product')} recounted, {drift.drifted:,} with drift"
    )
    table.add_column("counter")
    for title in ("found", "recounted", "drift"):
        table.add_column(title, justify="right")
    for name, found in drift.found.items():
        figures = (found, drift.expected[name], drift.drift.get(name, Decimal()))
        table.add_row(name, *(f"{figure:,}" for figure in figures))
    console.print(table)
    if drift.differ_by_day:
        console.print(
            f"Counted by days, {counted(drift.differ_by_day, 'product')} came out otherwise: "
            "the rows of sealed days do not know of events that came, or were erased, after "
            "the seal."
        )
    else:
        console.print(
            "Counted by days, from sealed daily rows and the events of the others, it is the same."
        )


def _now() -> datetime:
    return datetime.now(UTC)
