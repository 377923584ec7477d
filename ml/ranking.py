"""The best k of many scores, with one rule for ties. numpy only: the web process uses it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

IntTable = npt.NDArray[np.int32]
FloatTable = npt.NDArray[np.float32]

CELLS_PER_BLOCK = 4_000_000
#: Scores of people are made, signal by signal, in about so many arrays that live at once.
SCORING_ARRAYS = 4
# Where one of so many columns is wanted most can be passed over at a glance.
WIDE = 200


def top_k(scores: npt.NDArray[Any], k: int) -> tuple[IntTable, FloatTable]:
    """Return the columns of the k largest scores of each row, best first.

    Equal scores are ordered by column, so that the answer depends on the
    scores alone. A score of -inf is never chosen.

    Parameters
    ----------
    scores : ndarray, shape (rows, columns)
        Without NaN.
    k : int

    Returns
    -------
    index : ndarray of int32, shape (rows, min(k, columns))
        -1 where a row has fewer candidates.
    score : ndarray of float32, same shape
        0 where `index` is -1.
    """
    rows, columns = scores.shape
    k = min(k, columns)
    if rows == 0 or k <= 0:
        return np.full((rows, max(k, 0)), -1, np.int32), np.zeros((rows, max(k, 0)), np.float32)
    if columns > WIDE * k:
        bound = _bound_from_below(scores, k)
        row, column = np.nonzero(scores >= np.maximum(bound, np.finfo(scores.dtype).min)[:, None])
        if len(row) <= rows * columns // 16:
            return top_k_entries(row, column, scores[row, column], rows, k)
    # From the low side, since numpy is ten times slower from the high one where most are equal.
    threshold = -np.partition(-scores, k - 1, axis=1)[:, k - 1, None]
    row, column = np.nonzero((scores >= threshold) & (scores > -np.inf))
    value = scores[row, column]
    tied = value == threshold[row, 0]
    starts = np.searchsorted(row, np.arange(rows + 1))
    above = np.add.reduceat(np.append(~tied, False), np.minimum(starts[:-1], len(row)))
    above[starts[:-1] == starts[1:]] = 0
    # Of the products that share the last score those of the lowest columns are taken.
    number = np.cumsum(tied)
    before = np.concatenate(([0], number))[starts[:-1]]
    kept = ~tied | (number - before[row] <= k - above[row])
    row, column, value = row[kept], column[kept], value[kept]
    counts = np.bincount(row, minlength=rows)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    index = np.full((rows, k), -1, np.int32)
    score = np.full((rows, k), -np.inf, scores.dtype)
    index[row, place], score[row, place] = column, value
    order = np.argsort(-score, axis=1, kind="stable")
    index = np.take_along_axis(index, order, axis=1)
    score = np.take_along_axis(score, order, axis=1)
    return index, np.where(index >= 0, score, 0).astype(np.float32)


def top_k_entries(
    row: npt.NDArray[Any],
    column: npt.NDArray[Any],
    value: npt.NDArray[Any],
    num_rows: int,
    k: int,
) -> tuple[IntTable, FloatTable]:
    """Return the same as `top_k` for scores given as entries (row, column, value), row by row."""
    kept = _may_be_best(row, value, num_rows, k)
    row, column, value = row[kept], column[kept], value[kept]
    order = np.lexsort((column, -value, row))
    row, column, value = row[order], column[order], value[order]
    counts = np.bincount(row, minlength=num_rows)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = rank < k
    index = np.full((num_rows, k), -1, np.int32)
    score = np.zeros((num_rows, k), np.float32)
    index[row[kept], rank[kept]] = column[kept]
    score[row[kept], rank[kept]] = value[kept]
    return index, score


def _bound_from_below(scores: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
    """Return a score of each row that at least k columns reach, in one pass over them.

    Columns are dealt to 16 · k hands: k hands have a best one that is as large.
    """
    hands = 16 * k
    dealt = scores[:, : scores.shape[1] // hands * hands]
    best = dealt.reshape(len(scores), -1, hands).max(axis=1)
    bound: npt.NDArray[Any] = -np.partition(-best, k - 1, axis=1)[:, k - 1]
    return bound


def _may_be_best(
    row: npt.NDArray[Any], value: npt.NDArray[Any], num_rows: int, k: int
) -> npt.NDArray[np.bool_]:
    """Mark the entries that are as large as the k-th largest of their row: few to sort."""
    kept = np.ones(len(row), dtype=bool)
    starts = np.searchsorted(row, np.arange(num_rows + 1)).tolist()
    for start, stop in pairwise(starts):
        if stop - start > k > 0:
            lowered = -value[start:stop]
            kept[start:stop] = lowered <= np.partition(lowered, k - 1)[k - 1]
    return kept


def blocks(num_rows: int, num_columns: int, *, arrays: int = 1) -> list[slice]:
    """Cut rows into slices of which so many arrays have `CELLS_PER_BLOCK` dense cells, about.

    These are 16 MB of float32.
    """
    step = max(1, CELLS_PER_BLOCK // (max(num_columns, 1) * arrays))
    return [slice(start, min(start + step, num_rows)) for start in range(0, num_rows, step)]
