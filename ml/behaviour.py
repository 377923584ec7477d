"""Item to item from behaviour: products that the same people met."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from ml.ranking import FloatTable, IntTable, blocks, top_k_entries


class BehaviourNeighbours:
    """The nearest products by cosine over the people who met them.

    score(i, j) = cos(column i, column j) · n / (n + shrinkage), n the number
    of people who met both: what few people support counts less [1]_.

    Parameters
    ----------
    neighbours : int
        How many are kept per product.
    shrinkage : float
        Number of people at which half of the cosine counts.
    min_people : int
        Pairs met by fewer people are left out. Below 2 a list could tell
        what one single person looked at.
    max_history : int
        Of a person with more products only the strongest count, since the
        work grows with the square of the longest histories (crawlers).

    Attributes
    ----------
    index_ : ndarray of int32, shape (products, neighbours)
        Best first, -1 where there is none.
    score_ : ndarray of float32, same shape
    people_ : ndarray of int32, same shape
        Number of people who met both.

    References
    ----------
    .. [1] Bell, Koren: Improved neighborhood-based collaborative filtering, KDD Cup 2007.
    """

    index_: IntTable
    score_: FloatTable
    people_: IntTable

    def __init__(
        self,
        neighbours: int = 50,
        *,
        shrinkage: float = 10.0,
        min_people: int = 2,
        max_history: int = 1000,
    ) -> None:
        self.neighbours = neighbours
        self.shrinkage = shrinkage
        self.min_people = min_people
        self.max_history = max_history

    def fit(self, strength: Any) -> BehaviourNeighbours:
        """Find the neighbours of each product.

        Parameters
        ----------
        strength : csr_array, shape (people, products)
            Positive strengths, from `ml.dataset.strength_matrix`.
        """
        if self.neighbours < 1:
            raise ValueError(f"neighbours must be >= 1, got {self.neighbours}")
        if self.shrinkage < 0:
            raise ValueError(f"shrinkage must be >= 0, got {self.shrinkage}")
        strength = keep_strongest(csr_array(strength, dtype=np.float32), self.max_history)
        num_products = strength.shape[1]
        width = min(self.neighbours, max(num_products - 1, 0))
        self.index_ = np.full((num_products, width), -1, np.int32)
        self.score_ = np.zeros((num_products, width), np.float32)
        self.people_ = np.zeros((num_products, width), np.int32)

        unit = _unit_columns(strength)
        met = csr_array(
            (np.ones_like(strength.data), strength.indices, strength.indptr), shape=strength.shape
        )
        unit_by_product, met_by_product = unit.T.tocsr(), met.T.tocsr()
        for rows in blocks(num_products, num_products):
            cosine = unit_by_product[rows] @ unit
            together = (met_by_product[rows] @ met).tocsr()
            shrunk = cosine.multiply(self._support(together, rows.start)).tocoo()
            row, column = shrunk.coords
            kept = shrunk.data > 0
            index, score = top_k_entries(
                row[kept], column[kept], shrunk.data[kept], shrunk.shape[0], width
            )
            self.index_[rows], self.score_[rows] = index, np.minimum(score, 1.0)
            self.people_[rows] = _read_cells(together, index)
        return self

    def first(self, neighbours: int) -> BehaviourNeighbours:
        """Return the first so many neighbours, as if no more had been asked for."""
        few = copy.copy(self)
        few.neighbours = neighbours
        few.index_ = self.index_[:, :neighbours]
        few.score_ = self.score_[:, :neighbours]
        few.people_ = self.people_[:, :neighbours]
        return few

    def _support(self, together: Any, first_product: int) -> Any:
        support = together.tocoo(copy=True)
        people = support.data
        itself = support.coords[0] + first_product == support.coords[1]
        few = people < self.min_people
        support.data = np.where(itself | few, 0.0, people / (people + self.shrinkage))
        return support.tocsr()


def keep_strongest(matrix: Any, max_per_row: int) -> Any:
    """Keep at most so many of the largest values of each row."""
    if np.diff(matrix.indptr).max(initial=0) <= max_per_row:
        return matrix
    entries = matrix.tocoo()
    row, column = entries.coords
    order = np.lexsort((column, -entries.data, row))
    counts = np.diff(matrix.indptr)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = order[rank < max_per_row]
    return csr_array((entries.data[kept], (row[kept], column[kept])), shape=matrix.shape)


def neighbour_matrix(index: IntTable, score: FloatTable) -> Any:
    """Return a neighbour table as a sparse matrix, so that history @ matrix scores products."""
    num_products = len(index)
    row, place = np.nonzero(index >= 0)
    entries = (score[row, place], (row, index[row, place]))
    return csr_array(entries, shape=(num_products, num_products))


def _unit_columns(matrix: Any) -> Any:
    squares = np.bincount(
        matrix.indices, weights=matrix.data.astype(np.float64) ** 2, minlength=matrix.shape[1]
    )
    length = np.sqrt(np.where(squares > 0, squares, 1.0)).astype(np.float32)
    unit = matrix.copy()
    unit.data = matrix.data / length[matrix.indices]
    return unit


def _read_cells(matrix: Any, index: IntTable) -> IntTable:
    """Read matrix[row, index[row, place]] for the whole table; 0 where index is -1."""
    if index.size == 0:
        return np.zeros(index.shape, np.int32)
    row = np.repeat(np.arange(len(index)), index.shape[1])
    cells = np.asarray(matrix[row, np.maximum(index, 0).ravel()]).reshape(index.shape)
    return np.where(index >= 0, cells, 0).astype(np.int32)
