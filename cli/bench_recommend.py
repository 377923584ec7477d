"""`./millrace bench recommend`: how good the recommendations are, on anybody's data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.bench_limits import NO_TEST, print_limits
from cli.bench_options import FiniteRange, as_json_option, seed_option
from cli.progress import Bar, progress_bar
from settings import read_settings

if TYPE_CHECKING:
    from bench.recommend import TaskResult
    from datasets.interest import ShopFiles
    from datasets.recommend_rule import RecommendRule
    from ml.budget import Budget

#: The figures of the first ten products that people read, and their headings.
_SHOWN = {"ndcg@10": "NDCG", "recall@10": "recall", "coverage@10": "coverage"}


@click.command(
    epilog=f"Example: ./millrace bench recommend --data ../data/shop --json     {NO_TEST}"
)
@click.option(
    "--data",
    "directory",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory of files, as docs/data-sets.md describes it.",
)
@click.option(
    "--mapping",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What its columns mean; by default its own mapping.toml, or a layout that is known.",
)
@click.option("--task", "names", multiple=True, help="Only this task; may be given again.")
@seed_option("Of all chance.", default=0)
@click.option(
    "--budget", type=FiniteRange(1), help="Seconds that training may take; no end by default."
)
@as_json_option
def recommend(
    directory: Path,
    mapping: Path | None,
    names: tuple[str, ...],
    seed: int,
    budget: float | None,
    as_json: bool,
) -> None:
    """The served recipe against each single model and the baselines, without any server."""
    # pandas, scipy and scikit-learn are loaded by the commands that need them only.
    from bench.recommend import run_task
    from datasets.dataset import DatasetError
    from datasets.interest import read_shop

    try:
        shop = read_shop(directory, mapping)
        tasks = _pick(shop, names)
        results = []
        for number, task in enumerate(tasks, start=1):
            title = f"{task.task} ({number} of {len(tasks)})"
            with progress_bar(title, 100, unit="%") as bar:
                results.append(
                    run_task(
                        shop, task, seed=seed, budget=_budget(budget), progress=_show_on(bar, title)
                    )
                )
            if not as_json:
                print_result(Console(), results[-1])
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        answers = [result.as_answer() for result in results]
        whole = answers[0] if len(answers) == 1 else {"data": shop.name, "tasks": answers}
        print(orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY).decode())


def print_result(console: Console, result: TaskResult) -> None:
    """Print one table: the best model first, with what the served one is better by."""
    answer = result.as_answer()
    console.print(f"[bold]{escape(answer['task'])}[/bold]: {escape(answer['split'])}.")
    console.print(
        f"{answer['people']:,} questions over {answer['products']:,} products, "
        f"{answer['interactions']:,} interactions; {answer['seconds']} s, "
        f"{answer['peak_memory_mb']:,} MB.",
        highlight=False,
    )
    for note in answer["notes"]:
        console.print(escape(note), style="dim", highlight=False)
    table = Table(box=SIMPLE)
    table.add_column("model", no_wrap=True)
    for heading in (*_SHOWN.values(), "served is better by"):
        table.add_column(heading, justify="right", no_wrap=True)
    models = sorted(answer["models"].items(), key=lambda pair: -pair[1]["ndcg@10"])
    for name, figures in models:
        cells = [f"{figures[metric]:.3f}" for metric in _SHOWN]
        table.add_row(name, *cells, escape(_better(answer["difference"].get(name))))
    console.print(table)
    print_limits(console, result.limits())


def _better(interval: list[float] | None) -> str:
    if interval is None:
        return ""
    mean, low, high = interval
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def _pick(shop: ShopFiles, names: tuple[str, ...]) -> list[RecommendRule]:
    """Take the tasks that are named, in the order of the mapping; all without a name."""
    known = [task.task for task in shop.tasks]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"--task {name!r} is none of: {', '.join(known)}")
    return [task for task in shop.tasks if not names or task.task in names]


def _budget(seconds: float | None) -> Budget | None:
    from ml.budget import Budget

    memory = read_settings().train_memory_budget_mb * 2**20
    return None if seconds is None else Budget(seconds, memory)


def _show_on(bar: Bar, title: str) -> Callable[[str, float], None]:
    return lambda stage, share: bar.tell(escape(f"{title}: {stage}"), 100 * share)
