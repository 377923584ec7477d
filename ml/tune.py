"""Choose the hyper-parameters of the sources on a validation window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.budget import Stopwatch
from ml.evaluate import mean_ndcg
from ml.memory import Memory
from ml.parallel import THREADS, run_all
from ml.recipe import Choices
from ml.remembered import Remembered
from ml.scoring import SignalScorer
from ml.signals import FACTORS, OWN
from ml.sizes import Sizes
from ml.sources import Sources, fit_factors, fit_table
from ml.splits.split import Split, draw_people

FEWEST_PEOPLE = 20
# Enough to tell a good choice from a bad one; the weights are learned from all.
MOST_PEOPLE = 1000
# EASE grows with the cube of the products: this many are solved in about a second on two cores.
EASE_PRODUCTS_PER_SECOND = 3600
TUNING_SHARE = 0.35
# One source alone is tuned without popularity and without what is known of products.
NO_SHARES, NONE_KNOWN = np.zeros(0, np.float32), np.zeros(0, np.bool_)
# Of a grid whose settings take longer than this each only the first few are tried.
LONG_S = 5.0
LONG_GRID = 2

HALF_LIVES: tuple[float | None, ...] = (None, 90.0, 30.0, 14.0, 7.0, 3.0, 1.0)
WEIGHT_EXPONENTS = (1.0, 0.0, 2.0)
GRIDS: dict[str, tuple[dict[str, Any], ...]] = {
    "knn": ({"knn_metric": "cosine"}, {"knn_metric": "bm25"}),
    "rp3": ({"rp3_beta": 0.6}, {"rp3_beta": 0.4}, {"rp3_beta": 0.8}),
    "sequences": (
        {"sequences_exponent": 1.0, "sequences_gap_s": None},
        {"sequences_exponent": 0.5, "sequences_gap_s": None},
        {"sequences_exponent": 1.0, "sequences_gap_s": 1800.0},
    ),
    FACTORS: (
        {"factors_regularisation": 0.01, "factors_unobserved_weight": 0.1},
        {"factors_regularisation": 0.003, "factors_unobserved_weight": 1.0},
        {"factors_regularisation": 0.005, "factors_unobserved_weight": 0.3},
    ),
    "ease": (
        {"ease_regularisation": 200.0},
        {"ease_regularisation": 50.0, "ease_half_life_days": 90.0},
        {"ease_regularisation": 50.0},
        {"ease_regularisation": 500.0},
        {"ease_regularisation": 200.0, "ease_evidence": "binary"},
        {"ease_regularisation": 20.0, "ease_half_life_days": 90.0},
    ),
}
#: The signal by which the settings of a source are compared.
JUDGED_BY = {
    "knn": "knn_months",
    "rp3": "rp3_months",
    "sequences": "sequences_last",
    FACTORS: "factors_months",
    "ease": "ease_months",
}


def tune_choices(
    split: Split,
    *,
    sources: Sequence[str],
    watch: Stopwatch,
    tell: Callable[[str], None],
    sizes: Sizes,
    seed: int,
) -> Choices:
    """Choose by NDCG@10, one thing after the other; the first of a grid where nothing is better.

    With fewer than 20 people to ask the first of each grid is taken, and so is
    what was best so far when the share of the time that tuning may take is spent.

    Parameters
    ----------
    split : Split
        Of the validation window; nothing after it is looked at.
    sources : sequence of str
        Those to tune.
    watch : Stopwatch
        Of the whole training.
    tell : callable
        Called with what is tuned next.
    sizes : Sizes
    seed : int
        Draws the people to tune by, and begins the factors.
    """
    choices = replace(Choices(), **_first_of_each_grid())
    if len(split.people) < FEWEST_PEOPLE:
        return choices
    split = draw_people(split, MOST_PEOPLE, seed=seed)
    remembered = Remembered(split.train, now=split.cut)
    tell("popularity")
    choices = _best(choices, _half_lives(split, remembered, choices))
    if len(np.unique(split.train.weight)) > 1:
        tell("weights")
        choices = _best(choices, _exponents(split, remembered, choices, sizes))
    strengths = remembered.strengths(Memory(), choices.weight_exponent)
    del remembered
    num_ease = min(sizes.ease_products, split.train.shape[1])
    spendable_s = watch.elapsed_s() + TUNING_SHARE * watch.left_s()
    for source in [name for name in GRIDS if name in sources]:
        tell(source)

        expected_s = (num_ease / EASE_PRODUCTS_PER_SECOND) ** 3 if source == "ease" else 0.0
        at_once = THREADS if expected_s < LONG_S else 1
        grid = GRIDS[source] if expected_s < LONG_S else GRIDS[source][:LONG_GRID]
        judged: list[tuple[float, dict[str, Any]]] = []
        while len(judged) < len(grid):
            if judged and watch.elapsed_s() + expected_s > spendable_s:
                break
            part = grid[len(judged) : len(judged) + at_once]
            judged += run_all(
                partial(_judge, source, choices, changes, split, strengths, sizes, seed)
                for changes in part
            )
        choices = _best(choices, judged)
    return choices


def _judge(
    source: str,
    choices: Choices,
    changes: dict[str, Any],
    split: Split,
    strengths: Any,
    sizes: Sizes,
    seed: int,
) -> tuple[float, dict[str, Any]]:
    changed = replace(choices, **changes)
    fitted = _fit_one(source, changed, split, strengths, sizes, seed)
    return _ndcg(fitted, split, JUDGED_BY[source]), changes


def _fit_one(
    source: str,
    choices: Choices,
    split: Split,
    strengths: Any,
    sizes: Sizes,
    seed: int,
) -> Sources:
    """Fit one source alone."""
    if source == FACTORS:
        factors = fit_factors(choices, strengths, seed)
        return Sources(choices, {}, factors, {}, NO_SHARES, NONE_KNOWN, None)
    table = fit_table(source, choices, split.train, strengths, None, split.cut, sizes)
    return Sources(choices, {source: table}, None, {}, NO_SHARES, NONE_KNOWN, None)


def _first_of_each_grid() -> dict[str, Any]:
    return {name: value for grid in GRIDS.values() for name, value in grid[0].items()}


def _half_lives(
    split: Split, remembered: Remembered, choices: Choices
) -> Iterator[tuple[float, dict[str, Any]]]:
    for half_life in HALF_LIVES:
        score = remembered.popularity(Memory(half_life), choices.weight_exponent)
        ndcg = mean_ndcg(partial(_same_for_all, score), split)
        yield ndcg, {"popularity_half_life_days": half_life}


def _same_for_all(
    score: npt.NDArray[np.float32], people: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    return np.tile(score, (len(people), 1))


def _exponents(
    split: Split, remembered: Remembered, choices: Choices, sizes: Sizes
) -> Iterator[tuple[float, dict[str, Any]]]:
    """Compare by neighbours over walks, which are quick, and by what people did themselves."""
    for exponent in WEIGHT_EXPONENTS:
        candidate = replace(choices, weight_exponent=exponent)
        strengths = remembered.strengths(Memory(), exponent)
        fitted = _fit_one("rp3", candidate, split, strengths, sizes, 0)
        signals = ["rp3_months"] if split.exclude_seen else ["rp3_months", f"{OWN}_months"]
        scores = [_ndcg(fitted, split, signal) for signal in signals]
        yield sum(scores), {"weight_exponent": exponent}


def _ndcg(fitted: Sources, split: Split, signal: str) -> float:
    scorer = SignalScorer(fitted, split.history, now=split.cut)
    return mean_ndcg(lambda people: scorer.score(signal, people), split)


def _best(choices: Choices, judged: Iterable[tuple[float, dict[str, Any]]]) -> Choices:
    best = max(judged, key=lambda pair: pair[0])
    return replace(choices, **best[1])
