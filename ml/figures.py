"""The figures of ranked lists, one per person."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

PerPerson = npt.NDArray[np.float64]

NDCG_AT = 10
HIT_AT = 20
DISCOUNT = 1.0 / np.log2(np.arange(2, NDCG_AT + 2))
IDEAL = np.concatenate([[0.0], np.cumsum(DISCOUNT)])


class Figures(NamedTuple):
    """See `ml.evaluate.Evaluation`."""

    ndcg: PerPerson
    recall: PerPerson
    hit_rate_10: PerPerson
    hit_rate: PerPerson
    reciprocal_rank: PerPerson
    reciprocal_rank_20: PerPerson


def rank_figures(
    scores: npt.NDArray[np.float32], truth: Any, top: npt.NDArray[np.int32]
) -> Figures:
    """Return the figures of some questions. The truth stays sparse, since most of it is empty.

    Parameters
    ----------
    scores : ndarray of float32, shape (people, products)
        -inf where a product is not ranked.
    truth : csr_array of bool, same shape
    top : ndarray of int32, shape (people, 20 or all products)
        From `ml.ranking.top_k`.
    """
    num_true = np.diff(truth.indptr)
    row = np.repeat(np.arange(len(top)), num_true)
    hits = _sparse_hits(row, truth.indices, top, scores.shape[1])
    ideal = IDEAL[np.minimum(num_true, NDCG_AT)]
    first_ten = hits[:, :NDCG_AT]
    gain = first_ten @ DISCOUNT[: first_ten.shape[1]]
    reciprocal = _reciprocal_rank(scores, row, truth.indices)
    return Figures(
        ndcg=gain / np.where(ideal > 0, ideal, 1.0),
        recall=first_ten.sum(axis=1) / np.maximum(num_true, 1),
        hit_rate_10=np.asarray(first_ten.any(axis=1), np.float64),
        hit_rate=np.asarray(hits.any(axis=1), np.float64),
        reciprocal_rank=reciprocal,
        reciprocal_rank_20=np.where(hits.any(axis=1), reciprocal, 0.0),
    )


def _sparse_hits(
    row: npt.NDArray[Any], column: npt.NDArray[Any], top: npt.NDArray[np.int32], columns: int
) -> npt.NDArray[np.bool_]:
    places = np.arange(len(top))[:, None] * columns + top
    return np.isin(places, row * columns + column) & (top >= 0)


def _reciprocal_rank(
    scores: npt.NDArray[np.float32], row: npt.NDArray[Any], column: npt.NDArray[Any]
) -> PerPerson:
    """Return 1 / rank of the best product of the truth, given as entries (row, column)."""
    value = scores[row, column]
    order = np.lexsort((column, -value, row))
    rows_asked, at = np.unique(row[order], return_index=True)
    best = np.full(len(scores), -np.inf, np.float32)
    first = np.zeros(len(scores), np.int64)
    best[rows_asked], first[rows_asked] = value[order][at], column[order][at]
    # Of equal scores the earlier product is ranked before. A row at a time stays in the cache.
    rank = [
        1 + np.count_nonzero(line > most) + np.count_nonzero(line[:earlier] == most)
        for line, most, earlier in zip(scores, best, first.tolist(), strict=True)
    ]
    return np.where(np.isfinite(best), 1.0 / np.array(rank, np.float64), 0.0)


def sparse_ndcg_at_10(top: npt.NDArray[np.int32], truth: Any) -> PerPerson:
    """Return what `ndcg_at_10` does for a truth that is a csr_array."""
    num_true = np.diff(truth.indptr)
    row = np.repeat(np.arange(len(top)), num_true)
    hits = _sparse_hits(row, truth.indices, top[:, :NDCG_AT], truth.shape[1])
    ideal = IDEAL[np.minimum(num_true, NDCG_AT)]
    figures: PerPerson = (hits @ DISCOUNT[: hits.shape[1]]) / np.where(ideal > 0, ideal, 1.0)
    return figures


def ndcg_at_10(top: npt.NDArray[np.int32], truth: npt.NDArray[np.bool_]) -> PerPerson:
    """Return NDCG@10 with binary gains; the ideal list holds min(10, |truth|) hits.

    Parameters
    ----------
    top : ndarray of int32, shape (people, at least 10 or all products)
        From `ml.ranking.top_k`.
    truth : ndarray of bool, shape (people, products)
    """
    first_ten = top[:, :NDCG_AT]
    hits = np.take_along_axis(truth, np.maximum(first_ten, 0), axis=1) & (first_ten >= 0)
    ideal = IDEAL[np.minimum(truth.sum(axis=1), NDCG_AT)]
    figures: PerPerson = (hits @ DISCOUNT[: hits.shape[1]]) / np.where(ideal > 0, ideal, 1.0)
    return figures
