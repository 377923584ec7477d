"""Candidates: the products that a ranker learns from, with their features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.figures import DISCOUNT, IDEAL, NDCG_AT
from ml.ranking import top_k, top_k_entries
from ml.recipe import ListWeights
from ml.scoring import Shares, SignalScorer, bar
from ml.splits.split import Split

#: How many of each signal's best products are candidates.
PER_SIGNAL = 30
CELLS_PER_BLOCK = 1_500_000

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates of many questions, question by question.

    Attributes
    ----------
    question : ndarray of int64, shape (n,)
        Ascending, 0 to num_questions - 1.
    product : ndarray of int32, shape (n,)
    hit : ndarray of bool, shape (n,)
    shares : ndarray of float32, shape (n, signals + trends)
        Shares of each signal, then of each trend.
    signals, trends : sequence of str
        Names of the columns.
    num_true : ndarray of int64, shape (questions,)
        How many products are asked for, candidates or not.
    """

    question: npt.NDArray[np.int64]
    product: npt.NDArray[np.int32]
    hit: npt.NDArray[np.bool_]
    shares: FloatArray
    signals: Sequence[str]
    trends: Sequence[str]
    num_true: npt.NDArray[np.int64]

    @property
    def columns(self) -> list[str]:
        """The names of the columns of `shares`."""
        return [*self.signals, *self.trends]

    def features(self) -> FloatArray:
        """Return the shares and their roots, shape (n, 2 · columns)."""
        return np.hstack([self.shares, np.sqrt(self.shares)])

    def read_weights(self, coef: npt.NDArray[np.float64]) -> ListWeights:
        """Return the weights of `features` by their names."""
        straight, root = np.split(np.asarray(coef, np.float64), 2)
        pairs = dict(
            zip(self.columns, zip(straight.tolist(), root.tolist(), strict=True), strict=True)
        )
        return ListWeights(
            {name: pairs[name] for name in self.signals},
            {name: pairs[name] for name in self.trends},
        )

    def ndcg(self, scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return NDCG@10 of each question, (questions,); what is no candidate counts as missed."""
        order = np.lexsort((self.product, -scores, self.question))
        counts = np.bincount(self.question, minlength=len(self.num_true))
        rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        gained = self.hit[order] & (rank < NDCG_AT)
        gain = np.bincount(
            self.question[order][gained],
            weights=DISCOUNT[rank[gained]],
            minlength=len(self.num_true),
        )
        ideal = IDEAL[np.minimum(self.num_true, NDCG_AT)]
        return gain / np.where(ideal > 0, ideal, 1.0)


def find_candidates(split: Split, scorer: SignalScorer, signals: Sequence[str]) -> Candidates:
    """Gather the best products of each signal and trend for each question, with all their shares.

    Parameters
    ----------
    split : Split
    scorer : SignalScorer
        Of sources that were fitted on `split.train`, over `split.history`.
    signals : sequence of str
    """
    trends = scorer.sources.trends
    trend_shares = np.stack(list(trends.values()))
    most_seen = int(np.diff(split.seen.indptr).max(initial=0)) if split.exclude_seen else 0
    leaders = [
        _leading(np.where(scorer.sources.known, share, 0.0), PER_SIGNAL + most_seen)
        for share in trend_shares
    ]
    step = max(1, CELLS_PER_BLOCK // max(scorer.sources.num_products, 1))
    parts = []
    for start in range(0, len(split.people), step):
        people = split.people[start : start + step]
        bars = bar(scorer.sources.known, split.seen if split.exclude_seen else None, people)
        shares = [scorer.shares(signal, people, bars) for signal in signals]
        chosen = np.zeros(bars.shape, dtype=bool)
        for share in shares:
            _choose_best(chosen, share, bars)
        for leading in leaders:
            free = ~bars[:, leading]
            row, place = np.nonzero(free & (np.cumsum(free, axis=1) <= PER_SIGNAL))
            chosen[row, leading[place]] = True
        row, column = np.nonzero(chosen)
        table = np.stack(
            [_read(share, row, column, bars.shape) for share in shares]
            + list(trend_shares[:, column])
        )
        hit = split.truth[people].toarray()[row, column]
        parts.append((row + start, column.astype(np.int32), hit, table.T))
    width = len(signals) + len(trends)
    empty = (
        np.zeros(0, np.int64),
        np.zeros(0, np.int32),
        np.zeros(0, bool),
        np.zeros((0, width), np.float32),
    )
    whole: list[npt.NDArray[Any]] = [
        np.concatenate(arrays) for arrays in zip(empty, *parts, strict=True)
    ]
    question, product, hit, table = whole
    num_true = np.diff(split.truth.indptr)[split.people].astype(np.int64)
    return Candidates(question, product, hit, table, list(signals), list(trends), num_true)


def _leading(share: FloatArray, most: int) -> npt.NDArray[np.int64]:
    """Return the products with the largest shares above 0, best first."""
    order = np.argsort(-share, kind="stable")[:most]
    return order[share[order] > 0]


def _choose_best(
    chosen: npt.NDArray[np.bool_], shares: Shares, barred: npt.NDArray[np.bool_]
) -> None:
    """Mark the best products of each row that may be ranked and have a share at all, in place."""
    row, column, share = shares
    if share.ndim == 2:
        index, _ = top_k(np.where(barred | (share <= 0), -np.inf, share), PER_SIGNAL)
    else:
        kept = (share > 0) & ~barred[row, column]
        index, _ = top_k_entries(row[kept], column[kept], share[kept], len(chosen), PER_SIGNAL)
    row, place = np.nonzero(index >= 0)
    chosen[row, index[row, place]] = True


def _read(
    shares: Shares, row: npt.NDArray[Any], column: npt.NDArray[Any], shape: tuple[int, ...]
) -> FloatArray:
    """Return the shares of some cells."""
    whole = np.zeros(shape, np.float32)
    whole[shares.row, shares.column] = shares.share
    cells: FloatArray = whole[row, column]
    return cells
