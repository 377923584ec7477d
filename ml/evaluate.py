"""Ranking metrics over every product, none sampled, one figure per person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.exposure import Exposure, measure_exposure
from ml.figures import HIT_AT, NDCG_AT, Figures, ndcg_at_10, rank_figures, sparse_ndcg_at_10
from ml.ranking import SCORING_ARRAYS, blocks, top_k
from ml.splits.split import Split, known_products

__all__ = [
    "NDCG_AT",
    "Evaluation",
    "Scorer",
    "evaluate",
    "ndcg_at_10",
    "unknown_products",
]

Scorer = Callable[[npt.NDArray[np.int32]], npt.NDArray[Any]]
PerPerson = npt.NDArray[np.float64]

HISTORY_LENGTHS = (("0", 0, 0), ("1-3", 1, 3), ("4-10", 4, 10), ("11-50", 11, 50))
LONGEST = "more"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of one model, in the order of the people asked about.

    Attributes
    ----------
    ndcg, recall, hit_rate_10, hit_rate, reciprocal_rank, reciprocal_rank_20 : ndarray of float64
        Of shape (people,): NDCG@10 with binary gains, Recall@10, HitRate@10, HitRate@20, 1 / rank
        of the first hit, and the same with 0 where it is not among the first 20.
    history_length : ndarray of int64, shape (people,)
        How many products were known of each when asked.
    exposure : Exposure
        Which products the lists of ten show.
    """

    ndcg: PerPerson
    recall: PerPerson
    hit_rate_10: PerPerson
    hit_rate: PerPerson
    reciprocal_rank: PerPerson
    reciprocal_rank_20: PerPerson
    history_length: npt.NDArray[np.int64]
    exposure: Exposure

    @property
    def coverage(self) -> float:
        """Return the share of the products that could be ranked in somebody's first 10."""
        return self.exposure.coverage

    def means(self) -> dict[str, float]:
        """Return the averages over people, named as they are stored with a run."""
        return {
            "ndcg_at_10": _mean(self.ndcg),
            "recall_at_10": _mean(self.recall),
            "hit_rate_at_10": _mean(self.hit_rate_10),
            "hit_rate_at_20": _mean(self.hit_rate),
            "mrr": _mean(self.reciprocal_rank),
            "mrr_at_20": _mean(self.reciprocal_rank_20),
            "coverage_at_10": self.exposure.coverage,
            "novelty_at_10": self.exposure.novelty,
            "gini_at_10": self.exposure.gini,
            "popularity_share_at_10": self.exposure.popularity_share,
        }

    def by_history_length(self) -> dict[str, dict[str, float]]:
        """Return people, NDCG@10 and Recall@10 for short and long histories; none is empty."""
        groups = {
            name: (self.history_length >= low) & (self.history_length <= high)
            for name, low, high in HISTORY_LENGTHS
        }
        groups[LONGEST] = self.history_length > HISTORY_LENGTHS[-1][2]
        return {
            name: {
                "people": int(group.sum()),
                "ndcg_at_10": _mean(self.ndcg[group]),
                "recall_at_10": _mean(self.recall[group]),
            }
            for name, group in groups.items()
            if group.any()
        }


def evaluate(
    scorer: Scorer, split: Split, *, people: npt.NDArray[np.int32] | None = None
) -> Evaluation:
    """Rank every product that may be ranked for each question, and compare with the truth.

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
    lists, parts = [], []
    for rows in blocks(len(people), len(barred_for_all), arrays=SCORING_ARRAYS):
        asked = people[rows]
        scores = np.array(scorer(asked), dtype=np.float32)
        _bar(scores, split, asked, barred_for_all)
        top, _ = top_k(scores, HIT_AT)
        lists.append(top[:, :NDCG_AT])
        parts.append(np.stack(rank_figures(scores, split.truth[asked], top)))
    figures = np.concatenate(parts, axis=1) if parts else np.zeros((len(Figures._fields), 0))
    return Evaluation(
        **Figures(*figures)._asdict(),
        history_length=np.diff(split.seen.indptr)[people].astype(np.int64),
        exposure=measure_exposure(lists, split.train, ~barred_for_all),
    )


def mean_ndcg(scorer: Scorer, split: Split) -> float:
    """Return the mean NDCG@10 alone, in a fraction of the time of `evaluate`."""
    barred_for_all = unknown_products(split)
    total = 0.0
    for rows in blocks(len(split.people), len(barred_for_all), arrays=SCORING_ARRAYS):
        asked = split.people[rows]
        scores = np.array(scorer(asked), dtype=np.float32)
        _bar(scores, split, asked, barred_for_all)
        top, _ = top_k(scores, NDCG_AT)
        total += float(sparse_ndcg_at_10(top, split.truth[asked]).sum())
    return total / len(split.people) if len(split.people) else 0.0


def unknown_products(split: Split) -> npt.NDArray[np.bool_]:
    """Return which products are not ranked for anybody, shape (products,)."""
    if split.rankable is not None:
        return ~split.rankable
    return ~known_products(split.train)


def _bar(
    scores: npt.NDArray[np.float32],
    split: Split,
    people: npt.NDArray[np.int32],
    for_all: npt.NDArray[np.bool_],
) -> None:
    """Set the scores of what is not ranked to -inf, in place."""
    scores[:, for_all] = -np.inf
    if split.exclude_seen:
        seen = split.seen[people]
        scores[np.repeat(np.arange(len(people)), np.diff(seen.indptr)), seen.indices] = -np.inf


def _mean(values: PerPerson) -> float:
    return float(values.mean()) if values.size else 0.0
