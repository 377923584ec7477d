"""Play the shop: send, wait until all is stored, aggregate, train, check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
import redis
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine, text

import inbox
from cli.check import run_check
from cli.demo.expected import Expected
from cli.demo.load import Sent, Shop
from cli.demo.summary import Story
from cli.stack import Stack
from datasets import Dataset
from models.database import make_engine, transaction
from models.product_metrics import COUNTERS
from settings import Settings
from tasks.aggregate import aggregate_dirty

STORE_PATIENCE_S = 600.0
TRAIN_PATIENCE_S = 1800.0

Start = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True, slots=True)
class Stored:
    """What the workers did with the accepted events."""

    stored: int
    dead: int
    seconds: float


def play(console: Console, running: Stack, dataset: Dataset) -> Story:
    """Send everything, wait until it is stored, aggregate, train and check."""
    shop = Shop(
        running.url,
        write_key=running.secrets.write_key,
        admin_token=running.prepared.admin_token or "",
    )
    engine = make_engine(running.settings.sqlalchemy_url, application="demo")
    expected = Expected()
    with _bars(console) as start:
        shop.send_catalogue(dataset.products, start("catalogue", len(dataset.products)))
        sent, stored = _send_and_store(running, shop, dataset, expected, start)
        _aggregate(engine, running.settings, start)
    model = _train(console, shop, dataset)
    return Story(
        dataset=dataset,
        sent=sent,
        stored=stored.stored,
        dead=stored.dead,
        seconds=stored.seconds,
        expected=expected,
        sums=_read_sums(engine),
        invariants=run_check(running.settings, engine),
        model=model,
        shop=shop,
        running=running,
        engine=engine,
    )


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


def _aggregate(engine: Engine, settings: Settings, start: Start) -> None:
    advance: Callable[[int], None] | None = None
    before = 0

    def progress(done: int, total: int) -> None:
        nonlocal advance, before
        advance = advance or start("days", total)
        advance(done - before)
        before = done

    aggregate_dirty(
        engine,
        zone=settings.report_timezone,
        now=datetime.now(UTC),
        properties=settings.counted_properties,
        progress=progress,
    )


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


def _read_sums(engine: Engine) -> dict[str, Any]:
    """Read the sums of all counters, and the number of events, from the database."""
    sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in COUNTERS)
    with transaction(engine) as session:
        row = session.execute(text(f"SELECT {sums} FROM product_metrics")).one()
        events = session.scalar(text("SELECT count(*) FROM events"))
    return {**row._asdict(), "events": events}
