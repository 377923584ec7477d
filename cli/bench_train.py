"""`./millrace bench train`: what a training takes, beside what it may take."""

from __future__ import annotations

from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench import train as training
from bench.machine import describe_machine
from cli.bench_limits import NO_TEST, print_limits
from cli.bench_options import as_json_option, seed_option
from cli.installation import installation
from cli.progress import progress_bar
from settings import read_settings
from tasks.training_attempt import Limits


@click.command(epilog=f"Example: ./millrace bench train --data ../data/shop --json     {NO_TEST}")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory of files, as docs/data-sets.md describes it; its first task says what "
    "counts. Without it: the events of this installation.",
)
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What its columns mean; by default its own mapping.toml, or a layout that is known.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    help="Days of this installation's events; TRAIN_DAYS without it.",
)
@seed_option("Same seed and data, same model.", default=0)
@as_json_option
def train(
    data: Path | None, mapping: Path | None, days: int | None, seed: int, as_json: bool
) -> None:
    """Train once in a process of its own, keep nothing, and print what it took by stage."""
    if mapping and not data:
        raise click.BadParameter("--mapping says what the files of --data mean")
    machine = describe_machine()
    try:
        figures = _train_on_files(data, mapping, seed) if data else _train_here(days, seed)
    except training.TrainingFailed as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print(orjson.dumps({**answer_of(figures), "machine": machine}).decode())
    else:
        print_figures(Console(), figures)


def _train_on_files(data: Path, mapping: Path | None, seed: int) -> training.Figures:
    job = _job(Limits.of(read_settings()), seed)
    job.data, job.mapping = str(data.resolve()), str(mapping.resolve()) if mapping else None
    return _run(job)


def _train_here(days: int | None, seed: int) -> training.Figures:
    with installation() as (settings, _):
        limits = Limits.of(settings)
        job = _job(limits, seed)
        job.database_url, job.most = settings.sqlalchemy_url, limits.most_interactions
        job.days = days or settings.train_days
        return _run(job)


def _job(limits: Limits, seed: int) -> training.Job:
    return training.Job(seed, limits.budget.seconds, limits.budget.memory_bytes)


def _run(job: training.Job) -> training.Figures:
    with progress_bar("training", 100, unit="%") as bar:
        return training.run(job, tell=lambda stage, share: bar.tell(stage, 100 * share))


def answer_of(figures: training.Figures) -> dict[str, object]:
    """Give the figures and their limits by name."""
    return {
        "status": figures.status,
        "interactions": figures.interactions,
        "products": figures.products,
        "seconds": figures.seconds,
        "total_s": figures.total_s,
        "cpu_s": figures.cpu_s,
        "peak_memory_mb": figures.peak_memory_mb,
        "artefact_mb": figures.artefact_mb,
        "limits": [item.as_answer() for item in figures.limits()],
    }


def print_figures(console: Console, figures: training.Figures) -> None:
    """Print the seconds of each stage, and the sums beside their limits."""
    console.print(
        f"{figures.interactions:,} interactions, {figures.products:,} products; "
        f"{figures.cpu_s:.1f} s of processor time; the model would be {figures.status}.",
        highlight=False,
    )
    table = Table("stage", "seconds")
    for stage, seconds in figures.seconds.items():
        table.add_row(stage, f"{seconds:.2f}")
    console.print(table)
    print_limits(console, figures.limits())
