"""Similar products: what a list names beside each product, with how many people met both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ml.ranking import FloatTable, IntTable, blocks
from ml.recipe import ListWeights
from ml.scoring import one_each, rank_neighbours
from ml.sources import Sources

#: How many are kept per product; content and popularity fill what is missing.
NUM_SIMILAR = 50


@dataclass(frozen=True, eq=False)
class SimilarTable:
    """The neighbours of each product that somebody met.

    Attributes
    ----------
    index : ndarray of int32, shape (products, k)
        Best first, -1 where there is none.
    score : ndarray of float32, same shape
        Between 0 and 1, falling.
    people : ndarray of int32, same shape
        Number of people who met both; 0 where other people's lists tell that they go together.
    """

    index: IntTable
    score: FloatTable
    people: IntTable


def make_similar(
    sources: Sources, weights: ListWeights, met: Any, product_ids: list[str]
) -> SimilarTable:
    """Rank the neighbours of each product that somebody met.

    Parameters
    ----------
    sources : Sources
    weights : ListWeights
        Of the list of similar products.
    met : csr_array of bool, shape (people, products)
    product_ids : list of str
    """
    index, score = find_similar(sources, weights, np.flatnonzero(sources.known), product_ids)
    return SimilarTable(index, score, count_both(met, index))


def find_similar(
    sources: Sources, weights: ListWeights, products: npt.NDArray[Any], product_ids: list[str]
) -> tuple[IntTable, FloatTable]:
    """Rank the neighbours of some products that somebody met.

    Returns
    -------
    index, score : ndarray of int32 and of float32, shape (all products, k)
        As in `SimilarTable`; the rows of other products are empty.
    """
    found, value = rank_neighbours(sources, weights, one_each(products, product_ids), NUM_SIMILAR)
    shape = (sources.num_products, found.shape[1])
    index, score = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
    index[products], score[products] = found, value
    return index, score


def count_both(met: Any, index: IntTable) -> IntTable:
    """Return how many people met both products of each pair of a table; 0 where it is -1."""
    ones = csr_array((np.ones(met.nnz, np.int32), met.indices, met.indptr), met.shape)
    by_product = ones.T.tocsr()
    people = np.zeros(index.shape, np.int32)
    for rows in blocks(len(index), met.shape[1]) if index.size else []:
        together = (by_product[rows] @ ones).tocsr()
        row = np.repeat(np.arange(together.shape[0]), index.shape[1])
        cells = np.asarray(together[row, np.maximum(index[rows], 0).ravel()])
        people[rows] = cells.reshape(-1, index.shape[1])
    return np.where(index >= 0, people, 0).astype(np.int32)


def rank_similar(
    given: npt.NDArray[np.int32],
    tables: Sequence[IntTable],
    popularity: npt.NDArray[np.float32] | None = None,
) -> FloatTable:
    """Return scores that put products in the order of `ml.serving.Model.similar`.

    The neighbours of the first table come first, in its order, then those of
    the next, then what is popular. -inf: not in the list at all.

    Parameters
    ----------
    given : ndarray of int32, shape (questions,)
        Rows of the tables.
    tables : sequence of ndarray of int32, each of shape (products, neighbours)
        Best first, -1 where there is none.
    popularity : ndarray of float32, shape (products,), optional
        At most 1. None: neighbours alone.

    Returns
    -------
    ndarray of float32, shape (questions, products)
        Places counted from the end, all above the popularity.
    """
    scores = np.full((len(given), len(tables[0])), -np.inf, np.float32)
    if popularity is not None:
        scores[:] = np.where(popularity > 0, popularity, -np.inf)
    end = 1
    for table in reversed(tables):
        neighbours = table[given]
        end += neighbours.shape[1]
        row, place = np.nonzero(neighbours >= 0)
        # An earlier table is written later, since its word counts.
        scores[row, neighbours[row, place]] = end - place
    return scores
