"""An item-to-item table: each product speaks for a few others."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ml.estimators.strengths import check_strengths, strengths_tags
from ml.ranking import FloatTable, IntTable, blocks, top_k, top_k_entries

# Where more than one cell in so many is filled, to look at all is faster than to sort the filled.
SPARSE_BELOW = 16


class ItemTable(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What the estimators share that learn one row of neighbours per product.

    A subclass has the parameter `k`, the number of neighbours kept per
    product, and its `fit` ends in `_keep_table`.

    Attributes
    ----------
    index_ : ndarray of int32, shape (products, min(k, products - 1))
        The products spoken for, best first by the size of the score, -1 where
        there is none.
    score_ : ndarray of float32, same shape
        0 where there is none.
    """

    k: int
    index_: IntTable
    score_: FloatTable

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
        """Return a copy with the first k neighbours, as if no more had been asked for.

        Other tables of the same width (numbers of people) are cut alike.
        """
        if k < 1:
            raise ValueError(f"k must be >= 1, got {k}")
        few = copy.copy(self)
        few.k = min(k, self.k)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and value.shape == self.index_.shape:
                setattr(few, name, value[:, :k])
        few._matrix = sparse_table(few.index_, few.score_)
        return few

    def table_matrix(self) -> Any:
        """Return the table as a csr_array, shape (products, products): row i is what i says."""
        check_is_fitted(self)
        return self._matrix

    def _keep_table(self, index: IntTable, score: FloatTable) -> Self:
        self.index_, self.score_ = index, score
        # Made here and not on first use: to score must not change an estimator.
        self._matrix = sparse_table(index, score)
        return self

    def _empty_table(self, num_products: int) -> tuple[IntTable, FloatTable]:
        shape = (num_products, min(self.k, max(num_products - 1, 0)))
        return np.full(shape, -1, np.int32), np.zeros(shape, np.float32)

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


def sparse_table(index: IntTable, score: FloatTable) -> Any:
    """Return a table as a csr_array, shape (products, products); -1 in the index is no entry."""
    num_products = len(index)
    kept = index >= 0
    starts = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    return csr_array((score[kept], index[kept], starts), shape=(num_products, num_products))
