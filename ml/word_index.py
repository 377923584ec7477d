"""Which products have the most words in common, where there are too many to compare all pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from ml.ranking import IntTable, top_k_entries

#: With so many products a product is compared at most, its rarest words first.
MOST_COMPARED = 10_000
#: Of those found by rare words alone so many times more than asked for are compared by all words.
SPARE = 4


class WordIndex:
    """Products by their words.

    A common word says little and is shared by many: by its rarest words a product is compared
    with at most `most_compared` others, its rarest word always among them. Of those it finds, the
    best are compared by all of their words. Below that bound, as in catalogues of some thousand
    products, nothing is left out.

    Parameters
    ----------
    features : csr_array of float32, shape (products, words)
        Rows of the length 1 or 0.
    most_compared : int
        Counted word by word.
    """

    def __init__(self, features: Any, *, most_compared: int = MOST_COMPARED) -> None:
        self._features = features
        self._by_word = features.T.tocsr()
        self._rare, self._is_cut = _keep_rare(features, most_compared)

    def cosines(self, rows: slice, k: int) -> Any:
        """Return the cosines of some products to at least their k most alike.

        Returns
        -------
        csr_array of float32, shape (rows, products)
            The product itself is among them.
        """
        found = self._rare[rows] @ self._by_word
        cut = self._is_cut[rows]
        if not cut.any():
            return found
        entries = found.tocoo()
        row, column = entries.coords
        few = cut[row]
        best, _ = top_k_entries(
            row[few], column[few], entries.data[few], found.shape[0], SPARE * k + 1
        )
        again, other = pairs_of(best)
        cosine = self.compare(again + rows.start, other)
        return coo_array(
            (
                np.concatenate((entries.data[~few], cosine)),
                (np.concatenate((row[~few], again)), np.concatenate((column[~few], other))),
            ),
            shape=found.shape,
        ).tocsr()

    def compare(self, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the cosine of each pair of products, by all of their words."""
        together = self._features[one].multiply(self._features[other])
        return np.asarray(together.sum(axis=1), dtype=np.float32).ravel()


def pairs_of(index: IntTable) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return the rows and the products of a table of products, of which -1 is none."""
    row, place = np.nonzero(index >= 0)
    return row, index[row, place]


def _keep_rare(features: Any, most_compared: int) -> tuple[Any, npt.NDArray[np.bool_]]:
    """Return the features by the rarest words of each row alone, and which rows lost some."""
    row = np.repeat(np.arange(features.shape[0]), np.diff(features.indptr))
    spread = np.bincount(features.indices, minlength=features.shape[1])[features.indices]
    order = np.lexsort((features.indices, spread, row))
    compared = np.cumsum(spread[order])
    starts = features.indptr[:-1][row]
    before = np.append(0, compared)[starts]
    kept = np.empty(len(row), dtype=bool)
    kept[order] = (compared - before <= most_compared) | (np.arange(len(row)) == starts)
    is_cut = np.bincount(row[~kept], minlength=features.shape[0]) > 0
    columns = (row[kept], features.indices[kept])
    return csr_array((features.data[kept], columns), shape=features.shape), is_cut
