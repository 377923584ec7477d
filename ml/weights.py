"""Learn the weights of a list, and prove on people left out that they beat each signal alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.candidates import Candidates, find_candidates
from ml.memory import MEMORIES
from ml.ranker import ListwiseRanker
from ml.recipe import ListWeights
from ml.scoring import SignalScorer
from ml.signals import OWN, SIGNALS
from ml.splits.split import Split

REGULARISATIONS = (0.3, 1.0, 3.0, 10.0)
FEWEST_QUESTIONS = 20
MOST_LEARNED_FROM = 1500
FOLDS = 2
# Within half a percent of the best regularisation another is as good.
AS_GOOD = 0.005


@dataclass(frozen=True)
class Learned:
    """Weights, and the mean NDCG@10 on the validation questions that they come from.

    Attributes
    ----------
    weights : ListWeights
    regularisation : float or None
        None: the weights are those of one signal or trend alone.
    ndcg : dict of str to float
        By signal and trend, and "ranker" for weights learned from other people.
    """

    weights: ListWeights
    regularisation: float | None
    ndcg: dict[str, float]


def learn_weights(split: Split, scorer: SignalScorer, *, seed: int) -> Learned:
    """Learn how much each signal and trend counts.

    Each regularisation is tried on halves of the people: weights from one half
    rank for the other. The ranker is taken where that is at least as good as the
    best signal or trend by itself; else that one is.

    Parameters
    ----------
    split : Split
        Of the validation window.
    scorer : SignalScorer
        Of sources fitted on `split.train`, over `split.history`.
    seed : int
        Of the halves.
    """
    signals = usable_signals(
        scorer.sources.names,
        exclude_seen=split.exclude_seen,
        tells_bought="trend_bought_all" in scorer.sources.trends,
    )
    candidates = find_candidates(split, scorer, signals)
    singles = {
        name: _mean(candidates.ndcg(candidates.shares[:, column]))
        for column, name in enumerate(candidates.columns)
    }
    best = max(singles, key=lambda name: singles[name])
    features = candidates.features()
    person = split.person
    tried = (
        _try_regularisations(candidates, features, person, seed=seed)
        if len(person) >= FEWEST_QUESTIONS and len(np.unique(person)) >= FOLDS
        else {}
    )
    if not tried or max(tried.values()) < singles[best]:
        pair = {best: (1.0, 0.0)}
        is_signal = best in SIGNALS
        return Learned(
            ListWeights(pair if is_signal else {}, {} if is_signal else pair), None, singles
        )
    regularisation = choose_regularisation(tried, at_least=singles[best])
    ranker = ListwiseRanker(regularisation).fit(features, candidates.hit, candidates.question)
    return Learned(
        candidates.read_weights(ranker.coef_),
        regularisation,
        {**singles, "ranker": tried[regularisation]},
    )


def choose_regularisation(ndcg: Mapping[float, float], *, at_least: float = 0.0) -> float:
    """Return the strongest regularisation that is about as good as the best, and at least so good.

    Half of the people tell good from bad, but not good from as good; of those the
    simpler is more likely to hold next month (the idea of the one standard error rule,
    Breiman, Friedman, Olshen, Stone: Classification and regression trees, 1984).
    """
    best = max(ndcg.values())
    enough = max((1 - AS_GOOD) * best, min(at_least, best))
    return max(value for value, found in ndcg.items() if found >= enough)


def usable_signals(
    sources: frozenset[str], *, exclude_seen: bool, tells_bought: bool
) -> Sequence[str]:
    """Return the signals of the sources that can tell one product from another.

    A person's own history says nothing of new products, and purchases say nothing
    of their own where there are none, or nothing else.
    """
    return [
        signal
        for signal, (source, memory) in SIGNALS.items()
        if source in sources
        and not (source == OWN and exclude_seen)
        and (tells_bought or not MEMORIES[memory].bought_only)
    ]


def _try_regularisations(
    candidates: Candidates,
    features: npt.NDArray[np.float32],
    person: npt.NDArray[np.int64],
    *,
    seed: int,
) -> dict[float, float]:
    """Return the mean NDCG@10 by each where either half is ranked by weights of the other.

    `person` says whose each question is, in numbers from 0 without a gap.
    """
    half = np.random.default_rng(seed).permutation(int(person.max()) + 1) % FOLDS
    fold = half[person[candidates.question]]
    scores = {value: np.zeros(len(fold)) for value in REGULARISATIONS}
    for number in range(FOLDS):
        there = fold != number
        learn, hit, question = features[there], candidates.hit[there], candidates.question[there]
        coef = None
        # From the strongest on: each begins where the one before ended.
        for value in sorted(REGULARISATIONS, reverse=True):
            coef = ListwiseRanker(value, start=coef).fit(learn, hit, question).coef_
            scores[value][~there] = features[~there] @ coef
    return {value: float(candidates.ndcg(score).mean()) for value, score in scores.items()}


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
