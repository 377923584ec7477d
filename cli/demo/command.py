"""The command: start, send, wait, aggregate, train, check, show."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson
import redis
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import text

import inbox
from cli.check import as_answer, run_check
from cli.demo.expected import Expected
from cli.demo.load import Sent, Shop
from cli.demo.summary import Story, print_story
from cli.run import ROOT, Stack, stack
from datasets import Dataset, DatasetError, read_dataset, simulate_shop
from models.database import make_engine, transaction
from settings import Settings, read_settings, resolve_data_dir
from tasks.aggregate import aggregate_dirty

#: The demo's directory holds this file, so that only a demo's directory is ever emptied.
MARKER = "made-by-millrace-demo"
STORE_PATIENCE_S = 600.0
TRAIN_PATIENCE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What the workers did with the accepted events."""

    stored: int
    dead: int
    seconds: float


@click.command(epilog="Example: ./millrace demo --data ~/shop --mapping shop.toml --exit")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory of shop data (docs/data-sets.md); without it, a simulated shop.",
)
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file that says what the columns of the data are.",
)
@click.option("--limit", type=click.IntRange(1), help="Play only the newest N events.")
@click.option("--seed", default=1, show_default=True, help="Of the simulated shop.")
@click.option("--exit", "leave", is_flag=True, help="Stop when the summary is printed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last.")
def demo(
    data: Path | None,
    mapping: Path | None,
    limit: int | None,
    seed: int,
    leave: bool,
    as_json: bool,
) -> None:
    """Play a shop's events through the whole system, and prove that none was lost.

    Starts everything in a directory of its own, which it empties first. Exits with 1 when any
    count disagrees.
    """
    console = Console(stderr=as_json, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    dataset = _read(console, data, mapping, limit, seed)
    settings = _settings_for(dataset)
    data_dir = resolve_data_dir(settings, root=ROOT) / "demo"
    _empty(data_dir)
    try:
        with stack(
            settings, data_dir, tell=lambda line: console.print(f"[dim]{line}[/]")
        ) as running:
            story = play(console, running, dataset)
            print_story(console, story)
            if as_json:
                print(orjson.dumps(as_json_answer(story)).decode(), flush=True)
            if not leave:
                console.print("\n[dim]It stays running; Ctrl-C stops everything.[/]")
                signal.pause()
    except KeyboardInterrupt:
        console.print("[dim]Stopped[/]")
        sys.exit(130)
    sys.exit(0 if story.agrees else 1)


def play(console: Console, running: Stack, dataset: Dataset) -> Story:
    """Send everything, wait until it is stored, aggregate, train and check."""
    shop = Shop(
        running.url,
        write_key=running.secrets.write_key,
        admin_token=running.prepared.admin_token or "",
    )
    expected = Expected()
    with _bars(console) as start:
        shop.send_catalogue(dataset.products, start("catalogue", len(dataset.products)))
        sent, stored = _send_and_store(running, shop, dataset, expected, start)
        _aggregate(running.settings, start)
    model = _train(console, shop, dataset)
    sums = _read_sums(running.settings)
    invariants = run_check(running.settings)
    return Story(
        dataset=dataset,
        sent=sent,
        stored=stored.stored,
        dead=stored.dead,
        seconds=stored.seconds,
        expected=expected,
        sums=sums,
        invariants=invariants,
        model=model,
        shop=shop,
        running=running,
    )


def as_json_answer(story: Story) -> dict[str, Any]:
    """Give the demo's figures as one object."""
    manifest = story.model.get("manifest") or {}
    run = story.model.get("last_run") or {}
    figures = run.get("figures") or {}
    return {
        "dataset": story.dataset.name,
        "simulated": story.dataset.simulated,
        "days": (story.dataset.last_day - story.dataset.first_day).days + 1,
        "products": len(story.dataset.products),
        "events_sent": story.sent.sent,
        "events_accepted": story.sent.accepted,
        "events_rejected": story.sent.rejected,
        "events_stored": story.stored,
        "events_dead": story.dead,
        "events_per_s": round(story.events_per_s, 1),
        "seconds": round(story.seconds, 2),
        "counters_agree": story.counters_agree,
        "aggregates_agree": story.aggregates_agree,
        "invariants": [as_answer(item) for item in story.invariants],
        "model": {
            "status": run.get("status"),
            "reason": run.get("reason"),
            "version": story.model.get("version"),
            "metrics": figures.get("metrics") or manifest.get("metrics"),
            "baselines": figures.get("baselines"),
            "intervals": figures.get("intervals"),
        },
        "notes": story.dataset.notes,
        "ok": story.agrees,
    }


def _read(
    console: Console, data: Path | None, mapping: Path | None, limit: int | None, seed: int
) -> Dataset:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    try:
        with console.status("reading the data" if data else "making a simulated shop"):
            if data is not None:
                return read_dataset(data, mapping, last_day=yesterday, limit=limit)
            if limit is None:
                return simulate_shop(last_day=yesterday, seed=seed)
            return simulate_shop(last_day=yesterday, seed=seed, events=limit)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error


def _settings_for(dataset: Dataset) -> Settings:
    """Give settings of the demo's own servers, with a retention that holds the whole span."""
    age_days = (datetime.now(UTC).date() - dataset.first_day).days
    settings = read_settings()
    return replace(
        settings,
        database_url="",
        redis_url="",
        broker_url="",
        retention_days=max(settings.retention_days, age_days + 30),
    )


def _empty(data_dir: Path) -> None:
    """Begin with nothing: remove what an earlier demo left, and only that."""
    if data_dir.exists() and any(data_dir.iterdir()):
        if not (data_dir / MARKER).exists():
            raise click.ClickException(f"{data_dir} is not a demo's directory: please remove it")
        from cli.servers.directory import holder

        if (pid := holder(data_dir)) is not None:
            raise click.ClickException(f"another demo is running (process {pid}): stop it first")
        shutil.rmtree(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / MARKER).touch()


Start = Callable[[str, int], Callable[[int], None]]


@contextmanager
def _bars(console: Console) -> Iterator[Start]:
    columns = (
        TextColumn("{task.description:10}"),
        BarColumn(bar_width=40),
        TaskProgressColumn(),
        TextColumn("{task.completed:>9,.0f} of {task.total:,.0f}"),
        TextColumn("[cyan]{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:

        def start(name: str, total: int) -> Callable[[int], None]:
            task = bars.add_task(name, total=total, rate="")
            began = time.monotonic()

            def advance(count: int) -> None:
                done = bars.tasks[task].completed + count
                rate = f"{done / max(time.monotonic() - began, 0.001):,.0f}/s"
                bars.update(task, completed=done, rate=rate)

            return advance

        yield start


def _send_and_store(
    running: Stack, shop: Shop, dataset: Dataset, expected: Expected, start: Start
) -> tuple[Sent, Stored]:
    """Send all events, and wait until each accepted one is stored or a dead letter."""
    client = inbox.connect(running.settings.redis_url, timeout_s=10.0)
    began = time.monotonic()
    advance_sent = start("sent", dataset.event_count)
    advance_stored = start("stored", dataset.event_count)
    seen = 0

    def look() -> int:
        nonlocal seen
        totals = inbox.read_totals(client)
        done = sum(totals.values())
        advance_stored(done - seen)
        seen = done
        return done

    def advance(count: int) -> None:
        advance_sent(count)
        look()

    sent = shop.send_events(dataset, expected, advance)
    until = time.monotonic() + STORE_PATIENCE_S
    while look() < sent.accepted and inbox.read_depth(client).batches:
        if time.monotonic() > until:
            raise click.ClickException("the events are not stored yet: see the worker's log")
        time.sleep(0.05)
    look()
    seconds = time.monotonic() - began
    totals = _totals_at_rest(client)
    client.close()
    return sent, Stored(totals.get("stored", 0), totals.get("dead", 0), seconds)


def _totals_at_rest(client: redis.Redis) -> dict[str, int]:
    while inbox.read_depth(client).batches:
        time.sleep(0.05)
    return inbox.read_totals(client)


def _aggregate(settings: Settings, start: Start) -> None:
    engine = make_engine(settings.sqlalchemy_url, application="demo")
    advance: Callable[[int], None] | None = None
    before = 0

    def progress(done: int, total: int) -> None:
        nonlocal advance, before
        advance = advance or start("days", total)
        advance(done - before)
        before = done

    aggregate_dirty(engine, zone=settings.report_timezone, now=datetime.now(UTC), progress=progress)
    engine.dispose()


def _train(console: Console, shop: Shop, dataset: Dataset) -> dict[str, Any]:
    days = (datetime.now(UTC).date() - dataset.first_day).days + 1
    run = shop.post(f"/api/retrain?days={days}")
    until = time.monotonic() + TRAIN_PATIENCE_S
    with console.status("training") as status:
        while run["finished_at"] is None:
            if time.monotonic() > until:
                raise click.ClickException("the training does not end: see the trainer's log")
            time.sleep(0.2)
            run = shop.get(f"/api/training-runs/{run['run_id']}")
            status.update(f"training: {run['stage'] or run['status']}")
    model = shop.get("/api/model/info")
    # Each web process asks for a new model every few seconds.
    while run["status"] == "promoted" and model["status"] == "none" and time.monotonic() < until:
        time.sleep(0.2)
        model = shop.get("/api/model/info")
    return model


def _read_sums(settings: Settings) -> dict[str, Any]:
    """Read the sums of all counters, and the number of events, from the database."""
    engine = make_engine(settings.sqlalchemy_url, application="demo")
    names = (
        "total_impressions",
        "total_views",
        "total_clicks",
        "total_favorites",
        "total_cart_additions",
        "total_cart_removals",
        "total_sales",
        "total_revenue",
        "rating_count",
    )
    sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in names)
    with transaction(engine) as session:
        row = session.execute(text(f"SELECT {sums} FROM product_metrics")).one()
        events = session.scalar(text("SELECT count(*) FROM events"))
    engine.dispose()
    return {**row._asdict(), "events": events}


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
