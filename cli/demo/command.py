"""The command: start, send, wait, aggregate, train, check, show."""

from __future__ import annotations

import shutil
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console

from cli.check import as_answer
from cli.demo.play import play
from cli.demo.summary import Story, print_story
from cli.stack import ROOT, stack
from datasets import Dataset, DatasetError, read_dataset, simulate_shop
from settings import Settings, read_settings, resolve_data_dir

#: The demo's directory holds this file, so that only a demo's directory is ever emptied.
MARKER = "made-by-millrace-demo"


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
            "parts": figures.get("parts"),
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


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
