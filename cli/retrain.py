"""`./millrace retrain`: train now, with a progress bar, and end with the evaluation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import click
from rich.console import Console

from cli.evaluation import print_evaluation, reason_beyond_lists
from cli.installation import installation
from cli.progress import progress_bar
from models.database import transaction
from models.model_artefacts import read_version_of
from models.training_runs import TrainingRun, read_waited_for
from tasks import train
from tasks.training_attempt import Limits, Progress


@click.command(
    epilog="Example: ./millrace retrain --days 30     The exit code is 0 when a model was judged, "
    "whether it is served or not, and when there is too little data; 1 when the training failed."
)
@click.option(
    "--days", type=click.IntRange(1, 3650), help="Days of events to read; TRAIN_DAYS without it."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Same seed and data, same model.",
)
def retrain(days: int | None, seed: int) -> None:
    """Train the recommendations now, judge them, and serve them if they are better.

    One training runs at a time: while another runs, this one waits. Ctrl-C ends it, and the run
    is recorded as stopped by hand.
    """
    with installation() as (settings, engine):
        run_id = train.request_run(
            engine,
            days=settings.train_days if days is None else days,
            seed=seed,
            requested_by="command",
            now=_now(),
        )
        with transaction(engine) as session:
            waits_for = read_waited_for(session, session.get_one(TrainingRun, run_id))
        if waits_for is not None:
            click.echo(f"run {run_id} waits for run {waits_for}", err=True)
        with progress_bar("training", 100, unit="%") as bar:
            train.carry_out(
                engine,
                run_id,
                limits=Limits.of(settings),
                clock=_now,
                reasons={KeyboardInterrupt: "stopped by hand"},
                progress=_show_on(bar.tell),
            )
        with transaction(engine) as session:
            run = session.get_one(TrainingRun, run_id)
            version = read_version_of(session, run_id)
    print_run(Console(), run, version)
    if run.status == "failed":
        raise click.exceptions.Exit(1)


def _show_on(tell: Callable[[str, float], None]) -> Progress:
    return lambda stage, percent: tell(f"training: {stage}", percent)


def print_run(console: Console, run: TrainingRun, version: int | None) -> None:
    """Print what came of a run: the evaluation, the decision in words, and what is served."""
    figures = run.figures or {}
    print_evaluation(console, figures)
    rest = reason_beyond_lists(figures, run.reason)
    console.print(f"run {run.run_id}: {run.status}. {rest}".rstrip(), highlight=False)
    if version is not None:
        served = "and served" if run.status == "promoted" else "and not served"
        console.print(f"kept as version {version} {served}", highlight=False)


def _now() -> datetime:
    return datetime.now(UTC)
