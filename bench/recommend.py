"""Repeat the table of recommenders on a data set: fit before the cut, rank, compare."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bench.limits import Limit
from bench.tasks import build_task
from datasets.dataset import DatasetError
from datasets.interest import ShopFiles
from datasets.recommend_rule import RecommendRule
from ml.budget import Budget
from ml.contest import SERVED, contestants
from ml.dataset import Interactions
from ml.evaluate import Evaluation, evaluate
from ml.intervals import paired_interval
from ml.splits import Protocol, Split, draw_people

#: Told what is being done, and the share of the whole that is done.
Progress = Callable[[str, float], None]

#: By how much NDCG@10 may lie below the best other model's, at the low end of the interval.
LEAST_DIFFERENCE = -0.005
_FITTED = 0.8


@dataclass(frozen=True)
class TaskResult:
    """How each model did at one task.

    `evaluations` are by the names of models; `difference` is the NDCG@10 of the served one minus
    that of each other, with its interval.
    """

    task: str
    explained: str
    tuned_from: str | None
    split: Split
    interactions: int
    evaluations: Mapping[str, Evaluation]
    difference: Mapping[str, tuple[float, float, float]]
    recipe: Mapping[str, Any]
    notes: list[str]
    seconds: float
    peak_memory_mb: int

    def as_answer(self) -> dict[str, Any]:
        """Give the figures by name."""
        names = list(self.evaluations)
        return {
            "task": self.task,
            "split": self.explained,
            "tuned_from": self.tuned_from,
            **test_window(self.split),
            "people": len(self.split.people),
            "products": rankable_products(self.split),
            "interactions": self.interactions,
            "unknown_share": round(self.split.unknown_share, 6),
            "models": {name: named_figures(self.evaluations[name]) for name in names},
            "served": SERVED,
            "difference": {name: list(interval) for name, interval in self.difference.items()},
            "by_history_length": {
                name: {
                    length: _named(figures)
                    for length, figures in self.evaluations[name].by_history_length().items()
                }
                for name in names
            },
            "limits": [item.as_answer() for item in self.limits()],
            "recipe": self.recipe,
            "notes": self.notes,
            "seconds": round(self.seconds, 1),
            "peak_memory_mb": self.peak_memory_mb,
        }

    def limits(self) -> list[Limit]:
        """Hold the served model against the best of the others."""
        best = max(self.difference, key=lambda name: float(self.evaluations[name].ndcg.mean()))
        _, low, _ = self.difference[best]
        name = f"ndcg@10 of served minus {best}, low end"
        return [Limit(name, round(low, 6), LEAST_DIFFERENCE, is_most=False)]


def run_task(
    shop: ShopFiles,
    task: RecommendRule,
    *,
    seed: int,
    budget: Budget | None,
    progress: Progress,
) -> TaskResult:
    """Run one task: what tunes sees nothing of the test, and the test is scored once.

    Raises DatasetError where there is nothing to ask.
    """
    began = time.perf_counter()
    progress("split", 0.0)
    known, protocol = build_task(shop, task)
    split = ask(known, protocol, task, seed=seed)
    contest = contestants(
        split,
        shop.catalogue,
        seed=seed,
        budget=budget,
        progress=lambda stage, share: progress(stage, share * _FITTED),
    )
    evaluations = {}
    for place, (name, scorer) in enumerate(contest.scorers.items()):
        progress(f"rank: {name}", _FITTED + (1 - _FITTED) * place / len(contest.scorers))
        evaluations[name] = evaluate(scorer, split)
    served = evaluations[SERVED].ndcg
    difference = {
        name: paired_interval(served, evaluation.ndcg, seed=seed, person=split.person)
        for name, evaluation in evaluations.items()
        if name != SERVED
    }
    return TaskResult(
        task=task.task,
        explained=protocol.explain(),
        tuned_from=tuned_from(protocol),
        split=split,
        interactions=len(known),
        evaluations=evaluations,
        difference=difference,
        recipe=contest.recipe.to_dict(),
        notes=shop.left_out(task),
        seconds=time.perf_counter() - began,
        peak_memory_mb=peak_memory_mb(),
    )


def ask(known: Interactions, protocol: Protocol, task: RecommendRule, *, seed: int) -> Split:
    """Split, and draw the questions where the task wants no more than some."""
    split = protocol.split(known)
    if task.questions is not None:
        split = draw_people(split, task.questions, seed=seed if task.seed is None else task.seed)
    if len(split.people) == 0:
        raise DatasetError(
            f"task {task.task!r}: there is nobody to ask ({protocol.explain()}); of "
            f"{len(known):,} interactions {len(split.train):,} are learned from"
        )
    return split


def test_window(split: Split) -> dict[str, str | None]:
    """Say when the test window begins and ends; None where the split knows no time."""
    if not split.cut < split.end:
        return {"test_from": None, "test_to": None}
    return {"test_from": write_time(split.cut), "test_to": write_time(split.end)}


def tuned_from(protocol: Protocol) -> str | None:
    """Say when the window begins that tunes; None where the split knows no time."""
    cut = getattr(getattr(protocol.validation(), "inner", protocol.validation()), "cut", None)
    return None if cut is None else write_time(cut)


def write_time(moment: float) -> str | None:
    """Write unix seconds as a time in UTC; None where there is no end."""
    if moment == float("inf"):
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def named_figures(evaluation: Evaluation) -> dict[str, float]:
    """Give the averages by the names that papers use: `ndcg@10`."""
    return _named(evaluation.means())


def rankable_products(split: Split) -> int:
    """Count the products that are ranked."""
    known = np.unique(split.train.product[split.train.weight > 0])
    return int(len(known) if split.rankable is None else split.rankable.sum())


def peak_memory_mb() -> int:
    """Give the most memory that this process has had so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


def _named(figures: Mapping[str, float]) -> dict[str, float]:
    return {name.replace("_at_", "@"): round(value, 6) for name, value in figures.items()}
