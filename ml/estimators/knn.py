"""Neighbours by behaviour: products that the same people met."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ml.estimators.parameters import check_parameters
from ml.estimators.strengths import check_strengths, count_people, keep_strongest
from ml.estimators.table import ItemTable


class ItemKNN(ItemTable):
    """The nearest products by the people who met them.

    score(i, j) = similarity(i, j) · n / (n + shrinkage), n the number of
    people who met both: what few people support counts less [1]_.

    Parameters
    ----------
    k : int
        How many neighbours are kept per product.
    metric : {"cosine", "bm25"}
        "cosine": of two columns of strengths, weighted as `history_weights` says.
        "bm25": the product of two columns of BM25 weights [2]_, see
        `bm25_weights`; it has no upper bound.
    shrinkage : float
        Number of people at which half of the similarity counts.
    min_people : int
        Pairs met by fewer people are left out. Below 2 a list could tell
        what one single person looked at.
    max_history : int
        Of a person with more products only the strongest count, since the
        work grows with the square of the longest histories (crawlers).
    history_exponent : float
        How much less people with long histories say, see `history_weights`; for "cosine" alone.
    K1, B : float
        See `bm25_weights`; for "bm25" alone.

    Attributes
    ----------
    index_, score_ : ndarray
        See `ItemTable`.

    References
    ----------
    .. [1] Bell, Koren: Improved neighborhood-based collaborative filtering, KDD Cup 2007.
    .. [2] Robertson, Zaragoza: The probabilistic relevance framework: BM25 and beyond, 2009.
    """

    def __init__(
        self,
        k: int = 100,
        *,
        metric: str = "cosine",
        shrinkage: float = 10.0,
        min_people: int = 1,
        max_history: int = 1000,
        history_exponent: float = 0.5,
        K1: float = 100.0,
        B: float = 0.8,
    ) -> None:
        self.k = k
        self.metric = metric
        self.shrinkage = shrinkage
        self.min_people = min_people
        self.max_history = max_history
        self.history_exponent = history_exponent
        self.K1 = K1
        self.B = B

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the neighbours of each product.

        The products are compared in blocks: memory grows with the number of products.

        Parameters
        ----------
        X : array-like or sparse, shape (people, products)
            Strengths >= 0.
        y : ignored
        """
        check_parameters(
            self,
            at_least={
                "k": 1,
                "shrinkage": 0,
                "min_people": 1,
                "max_history": 1,
                "history_exponent": 0,
                "K1": 0,
                "B": 0,
            },
            at_most={"B": 1},
            one_of={"metric": ("cosine", "bm25")},
        )
        strengths = keep_strongest(check_strengths(self, X, reset=True), self.max_history)
        weights = self._weigh(strengths)
        met = _with_values(strengths, np.ones_like(strengths.data))
        weights_by_product, met_by_product = weights.T.tocsr(), met.T.tocsr()

        def compare(rows: slice) -> Any:
            support = self._support((met_by_product[rows] @ met).tocsr())
            return support.multiply(weights_by_product[rows] @ weights).tocsr()

        return self._keep_best(compare, strengths.shape[1])

    def _weigh(self, strengths: Any) -> Any:
        if self.metric == "bm25":
            return bm25_weights(strengths, K1=self.K1, B=self.B)
        return unit_columns(history_weights(strengths, self.history_exponent))

    def _support(self, together: Any) -> Any:
        people = together.data
        share = people / (people + np.float32(self.shrinkage))
        return _with_values(together, np.where(people < self.min_people, np.float32(0), share))


def history_weights(strengths: Any, exponent: float) -> Any:
    """Divide each person's strengths by their number of products to the power of an exponent.

    Two products met by one who met few others say more about each other than
    two met by one who met everything. At 0.5 a person's row of equal strengths
    has the length 1; at 0 all people count alike.
    """
    counts = np.diff(strengths.indptr)
    divisor = np.maximum(counts, 1).astype(np.float32) ** np.float32(exponent)
    return _with_values(strengths, strengths.data / np.repeat(divisor, counts))


def unit_columns(strengths: Any) -> Any:
    """Divide each column by its length; an empty one stays empty."""
    squares = np.bincount(
        strengths.indices,
        weights=strengths.data.astype(np.float64) ** 2,
        minlength=strengths.shape[1],
    )
    length = np.sqrt(np.where(squares > 0, squares, 1.0)).astype(np.float32)
    return _with_values(strengths, strengths.data / length[strengths.indices])


def bm25_weights(strengths: Any, *, K1: float, B: float) -> Any:
    """Weigh strengths as BM25 weighs words: people are the documents, products their words.

    weight = x · (K1 + 1) / (x + K1 · (1 - B + B · l / l̄)) · log(N / n), with x
    the strength, l the person's sum of strengths, l̄ its average, N the number
    of people and n that of those who met the product.

    Parameters
    ----------
    strengths : csr_array, shape (people, products)
    K1 : float
        How slowly a growing strength stops to add; at 0 it does not count.
    B : float
        How much longer histories count less, 0 (not) to 1.
    """
    num_people = strengths.shape[0]
    history = np.asarray(strengths.sum(axis=1), dtype=np.float64)
    average = history.mean() or 1.0
    pace = K1 * (1.0 - B + B * history / average)
    rarity = np.log(num_people / np.maximum(count_people(strengths), 1))
    person = np.repeat(np.arange(num_people), np.diff(strengths.indptr))
    strength = strengths.data.astype(np.float64)
    weight = strength * (K1 + 1.0) / (strength + pace[person]) * rarity[strengths.indices]
    return _with_values(strengths, weight.astype(np.float32))


def _with_values(matrix: Any, values: npt.NDArray[Any]) -> Any:
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
