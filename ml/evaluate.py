"""Ranking metrics over every product, none sampled, one figure per person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.ranking import blocks, top_k
from ml.split import Split

Scorer = Callable[[npt.NDArray[np.int32]], npt.NDArray[Any]]
PerPerson = npt.NDArray[np.float64]

NDCG_AT = 10
HIT_AT = 20
_DISCOUNT = 1.0 / np.log2(np.arange(2, NDCG_AT + 2))
_IDEAL = np.concatenate([[0.0], np.cumsum(_DISCOUNT)])


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of one model, in the order of the people asked about.

    Attributes
    ----------
    ndcg, recall, hit_rate, reciprocal_rank : ndarray of float64, shape (people,)
        NDCG@10 with binary gains, Recall@10, HitRate@20, 1 / rank of the first hit.
    coverage : float
        Share of the products that could be ranked that is in somebody's first 10.
    """

    ndcg: PerPerson
    recall: PerPerson
    hit_rate: PerPerson
    reciprocal_rank: PerPerson
    coverage: float

    def means(self) -> dict[str, float]:
        """Return the averages over people, named as they are stored with a run."""
        return {
            "ndcg_at_10": _mean(self.ndcg),
            "recall_at_10": _mean(self.recall),
            "hit_rate_at_20": _mean(self.hit_rate),
            "mrr": _mean(self.reciprocal_rank),
            "coverage_at_10": self.coverage,
        }


def evaluate(
    scorer: Scorer, split: Split, *, people: npt.NDArray[np.int32] | None = None
) -> Evaluation:
    """Rank every product met before the cut for each test person, and compare with the truth.

    scikit-learn's `ndcg_score` gives the same NDCG (a test holds it to that),
    but sorts each row whole in a Python loop.

    Parameters
    ----------
    scorer : callable
        Row numbers of people → scores, shape (people, products).
    split : Split
        Where it excludes what was seen, seen products are not ranked either.
    people : ndarray of int32, optional
        Some of `split.people`; all of them by default.
    """
    people = split.people if people is None else people
    barred_for_all = unknown_products(split)
    recommended = np.zeros(len(barred_for_all), dtype=bool)
    parts = []
    for rows in blocks(len(people), len(barred_for_all)):
        scores = np.array(scorer(people[rows]), dtype=np.float32)
        truth = split.truth[people[rows]].toarray()
        scores[barred(split, people[rows], barred_for_all)] = -np.inf
        top, _ = top_k(scores, HIT_AT)
        recommended[top[:, :NDCG_AT][top[:, :NDCG_AT] >= 0]] = True
        parts.append(_row_metrics(scores, truth, top))
    ndcg, recall, hit_rate, reciprocal = (
        np.concatenate(parts, axis=1) if parts else np.zeros((4, 0))
    )
    rankable = int((~barred_for_all).sum())
    coverage = float(recommended.sum() / rankable) if rankable else 0.0
    return Evaluation(ndcg, recall, hit_rate, reciprocal, coverage)


def unknown_products(split: Split) -> npt.NDArray[np.bool_]:
    """Return which products nobody had met before the cut, shape (products,)."""
    unknown: npt.NDArray[np.bool_] = (
        np.bincount(split.train.product, minlength=split.train.shape[1]) == 0
    )
    return unknown


def barred(
    split: Split, people: npt.NDArray[np.int32], for_all: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return which products are not ranked for whom, shape (people, products)."""
    if split.exclude_seen:
        mask: npt.NDArray[np.bool_] = split.seen[people].toarray() | for_all
        return mask
    return np.broadcast_to(for_all, (len(people), len(for_all)))


def ndcg_at_10(top: npt.NDArray[np.int32], truth: npt.NDArray[np.bool_]) -> PerPerson:
    """Return NDCG@10 with binary gains; the ideal list holds min(10, |truth|) hits.

    Parameters
    ----------
    top : ndarray of int32, shape (people, at least 10 or all products)
        From `ml.ranking.top_k`.
    truth : ndarray of bool, shape (people, products)
    """
    hits = _hits(top[:, :NDCG_AT], truth)
    ideal = _IDEAL[np.minimum(truth.sum(axis=1), NDCG_AT)]
    return (hits @ _DISCOUNT[: hits.shape[1]]) / np.where(ideal > 0, ideal, 1.0)


def paired_interval(
    first: PerPerson,
    second: PerPerson | float = 0.0,
    *,
    seed: int,
    rounds: int = 2000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Return the mean of first - second and its bootstrap interval (mean, low, high).

    People are drawn with replacement, each with both figures, since the
    same person is easy or hard for both models.

    Parameters
    ----------
    first, second : ndarray, shape (people,)
        Figures of the same people in the same order; `second` may be one number.
    """
    difference = np.asarray(first - second, dtype=np.float64)
    if difference.size == 0:
        return 0.0, 0.0, 0.0
    random = np.random.default_rng(seed)
    means = np.empty(rounds)
    for rows in blocks(rounds, difference.size):
        drawn = random.integers(difference.size, size=(rows.stop - rows.start, difference.size))
        means[rows] = difference[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(difference.mean()), float(low), float(high)


def _row_metrics(
    scores: npt.NDArray[Any], truth: npt.NDArray[np.bool_], top: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    hits = _hits(top, truth)
    num_true = np.maximum(truth.sum(axis=1), 1)
    recall = hits[:, :NDCG_AT].sum(axis=1) / num_true
    return np.stack(
        [ndcg_at_10(top, truth), recall, hits.any(axis=1), _reciprocal_rank(scores, truth)]
    )


def _hits(top: npt.NDArray[np.int32], truth: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    hits: npt.NDArray[np.bool_] = np.take_along_axis(truth, np.maximum(top, 0), axis=1)
    return hits & (top >= 0)


def _reciprocal_rank(scores: npt.NDArray[Any], truth: npt.NDArray[np.bool_]) -> PerPerson:
    true_scores = np.where(truth, scores, -np.inf)
    first = true_scores.argmax(axis=1)[:, None]
    best = np.take_along_axis(true_scores, first, axis=1)
    earlier = (scores == best) & (np.arange(scores.shape[1]) < first)
    rank = 1 + (scores > best).sum(axis=1) + earlier.sum(axis=1)
    return np.where(np.isfinite(best[:, 0]), 1.0 / rank, 0.0)


def _mean(values: PerPerson) -> float:
    return float(values.mean()) if values.size else 0.0
