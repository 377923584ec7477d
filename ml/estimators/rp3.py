"""RP3beta: a walk of three steps over the graph of people and products."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array, diags_array

from ml.estimators.parameters import check_parameters
from ml.estimators.strengths import check_strengths, count_people
from ml.estimators.table import ItemTable


class RP3Beta(ItemTable):
    """Where a walk from a product to a person to a product ends, popular ends held back.

    score(i, j) = Σ over people u of p(i → u)^alpha · p(u → j)^alpha / d(j)^beta, where p
    goes by strength and d(j) is the number of people who met j [1]_.

    Parameters
    ----------
    k : int
        How many neighbours are kept per product.
    alpha : float
        Above 1 likely steps count more, below 1 less.
    beta : float
        0 leaves popular products where they are.

    Attributes
    ----------
    index_, score_ : ndarray
        See `ItemTable`.

    References
    ----------
    .. [1] Paudel, Christoffel, Newell, Bernstein: Updatable, accurate, diverse, and scalable
       recommendations for interactive applications, TiiS 7(1), 2017.
    """

    def __init__(self, k: int = 100, *, alpha: float = 1.0, beta: float = 0.6) -> None:
        self.k = k
        self.alpha = alpha
        self.beta = beta

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the ends of the walks, in blocks of products.

        Parameters
        ----------
        X : array-like or sparse, shape (people, products)
            Strengths >= 0.
        y : ignored
        """
        check_parameters(self, at_least={"k": 1, "alpha": 0, "beta": 0})
        strengths = check_strengths(self, X, reset=True)
        held_back = np.maximum(count_people(strengths), 1.0) ** -self.beta
        to_people = self._steps(strengths.T.tocsr())
        to_products = csr_array(self._steps(strengths) @ diags_array(held_back))
        return self._keep_best(lambda rows: to_people[rows] @ to_products, strengths.shape[1])

    def _steps(self, strengths: Any) -> Any:
        """Return the probability of each step, each row's sum being 1, to the power of alpha."""
        counts = np.diff(strengths.indptr)
        total = np.asarray(strengths.sum(axis=1), dtype=np.float64)
        share = strengths.data / np.repeat(total, counts)
        return csr_array((share**self.alpha, strengths.indices, strengths.indptr), strengths.shape)
