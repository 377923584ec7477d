"""An item-to-item table: each product speaks for a few others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, vstack
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ml.estimators.strengths import check_strengths, strengths_tags
from ml.ranking import FloatTable, IntTable, blocks, top_k, top_k_entries

# Where more than one cell in so many is filled, to look at all is faster than to sort the filled.
SPARSE_BELOW = 16


class ItemTable(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What the estimators share that learn one row of neighbours per product.

    A subclass has the parameter `k`, the number of neighbours kept per
    product, and its `fit` ends in `_keep_best` or `_keep_table`. Only the
    entries are kept: most products of a large shop have few neighbours.

    Attributes
    ----------
    index_ : ndarray of int32, shape (products, min(k, products - 1))
        The products spoken for, best first by the size of the score, -1 where
        there is none. Made at each reading.
    score_ : ndarray of float32, same shape
        0 where there is none.
    """

    k: int
    _matrix: Any

    @property
    def index_(self) -> IntTable:
        """The products spoken for."""
        return self._padded(self._matrix.indices, np.int32(-1))

    @property
    def score_(self) -> FloatTable:
        """What is said of each of them."""
        return self._padded(self._matrix.data, np.float32(0))

    def transform(self, X: Any) -> FloatTable:
        """Score every product for people by what they met.

        Parameters
        ----------
        X : array-like or sparse, shape (people, products)
            Strengths >= 0 of what each person met.

        Returns
        -------
        ndarray of float32, shape (people, products)
            Σ over the products i met of strength(i) · score(i, j). It is dense:
            ask for people in blocks where both numbers are large.
        """
        check_is_fitted(self)
        strengths = check_strengths(self, X, reset=False)
        scores = np.empty(strengths.shape, dtype=np.float32)
        for rows in blocks(*strengths.shape):
            scores[rows] = (strengths[rows] @ self._matrix).toarray()
        return scores

    def first(self, k: int) -> Self:
        """Return a copy with the first k neighbours, as if no more had been asked for."""
        if k < 1:
            raise ValueError(f"k must be >= 1, got {k}")
        few = copy.copy(self)
        few.k = min(k, self.k)
        if k >= self.k:
            return few
        lengths = np.diff(self._matrix.indptr)
        kept = _places(self._matrix) < k
        starts = np.concatenate(([0], np.cumsum(np.minimum(lengths, k))))
        few._matrix = csr_array(
            (self._matrix.data[kept], self._matrix.indices[kept], starts), shape=self._matrix.shape
        )
        return few

    def table_matrix(self) -> Any:
        """Return the table as a csr_array, shape (products, products): row i is what i says.

        The entries of a row are best first, and not in order of the products.
        """
        check_is_fitted(self)
        return self._matrix

    def _keep_best(self, scores_of: Callable[[slice], Any], num_products: int) -> Self:
        """Keep the best neighbours of each product; `scores_of` gives sparse rows of scores."""
        width = self._width(num_products)
        parts = [csr_array((0, num_products), dtype=np.float32)]
        for rows in blocks(num_products, num_products):
            found = best_neighbours(scores_of(rows), width, first_product=rows.start)
            parts.append(sparse_table(*found, num_products=num_products))
        return self._keep_table(vstack(parts, format="csr"))

    def _keep_table(self, matrix: Any) -> Self:
        self._matrix = csr_array(matrix)
        return self

    def _width(self, num_products: int) -> int:
        return min(self.k, max(num_products - 1, 0))

    def _padded(self, values: npt.NDArray[Any], nothing: Any) -> npt.NDArray[Any]:
        num_products = self._matrix.shape[0]
        table = np.full((num_products, self._width(num_products)), nothing)
        row = np.repeat(np.arange(num_products), np.diff(self._matrix.indptr))
        table[row, _places(self._matrix)] = values
        return table

    def __sklearn_tags__(self) -> Any:
        """Say that strengths may be sparse, are not negative, and give float32."""
        return strengths_tags(super().__sklearn_tags__())


def best_neighbours(scores: Any, k: int, *, first_product: int) -> tuple[IntTable, FloatTable]:
    """Return `ml.ranking.top_k` of the scores above zero of some products, themselves left out.

    Parameters
    ----------
    scores : sparse, shape (rows, products)
        A block of rows that may be made dense.
    k : int
        At most the number of products.
    first_product : int
        Number of the product that the first row is of.
    """
    if scores.nnz * SPARSE_BELOW > np.prod(scores.shape):
        dense = scores.toarray()
        dense[dense <= 0] = -np.inf
        every = np.arange(len(dense))
        dense[every, first_product + every] = -np.inf
        return top_k(dense, k)
    entries = scores.tocoo()
    row, column = entries.coords
    kept = (entries.data > 0) & (column != row + first_product)
    return top_k_entries(row[kept], column[kept], entries.data[kept], scores.shape[0], k)


def sparse_table(index: IntTable, score: FloatTable, *, num_products: int | None = None) -> Any:
    """Return rows of a table as a csr_array, shape (rows, products); -1 is no entry.

    There are as many products as rows unless their number is given.
    """
    kept = index >= 0
    starts = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    width = len(index) if num_products is None else num_products
    return csr_array((score[kept], index[kept], starts), shape=(len(index), width))


def _places(matrix: Any) -> npt.NDArray[np.int64]:
    """Return the place of each entry within its row, 0 for the first."""
    return np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], np.diff(matrix.indptr))
