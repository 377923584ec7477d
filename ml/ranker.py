"""A listwise ranker: which weights put what was really met to the top of a list."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from ml.estimators.parameters import check_parameters

FloatArray = npt.NDArray[np.float64]


class ListwiseRanker(BaseEstimator):
    """Linear weights by the cross entropy of a softmax over each list.

    Minimises, over questions q with candidates i, features x and hits T(q),

        -1/Q · Σ_q 1/|T(q)| · Σ_{i in T(q)} log softmax_i(w · x_qi) + λ/Q · ‖w‖²

    which is ListNet's top-one loss [1]_. It is convex, so that equal data give
    equal weights. Weights may be negative: what is popular all year but not this
    week is on its way out.

    Parameters
    ----------
    regularisation : float
        λ, in questions.
    max_iterations : int
    start : ndarray of shape (features,), optional
        Where to begin; weights of a neighbouring regularisation save most of the way.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (features,)

    References
    ----------
    .. [1] Cao, Qin, Liu, Tsai, Li: Learning to rank: from pairwise approach to listwise
       approach, ICML 2007.
    """

    coef_: FloatArray

    def __init__(
        self,
        regularisation: float = 1.0,
        *,
        max_iterations: int = 100,
        start: npt.NDArray[Any] | None = None,
    ) -> None:
        self.regularisation = regularisation
        self.max_iterations = max_iterations
        self.start = start

    def fit(self, X: Any, y: Any, question: npt.NDArray[Any] | None = None) -> Self:
        """Learn the weights.

        Parameters
        ----------
        X : array-like, shape (candidates, features)
        y : array-like of bool, shape (candidates,)
            Whether the candidate was met.
        question : ndarray of int, shape (candidates,), optional
            Ascending: which question each candidate is for. By default all are for one.
            Questions without a hit teach nothing.
        """
        check_parameters(self, at_least={"regularisation": 0, "max_iterations": 1})
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        hit = np.asarray(y, dtype=bool)
        question = np.zeros(len(X), np.int64) if question is None else np.asarray(question)
        if not len(X) == len(hit) == len(question):
            raise ValueError(f"X, y and question differ: {len(X)}, {len(hit)}, {len(question)}")
        if (np.diff(question) < 0).any():
            raise ValueError("question must be ascending")
        self.coef_ = np.zeros(X.shape[1])
        taught = np.isin(question, question[hit])
        if taught.any():
            some = slice(None) if taught.all() else taught
            self.coef_ = self._minimise(X[some], hit[some], question[some])
        return self

    def predict(self, X: Any) -> FloatArray:
        """Return the score of each candidate, shape (candidates,); it orders those of one list."""
        check_is_fitted(self)
        scores: FloatArray = validate_data(self, X, reset=False, dtype=np.float64) @ self.coef_
        return scores

    def _minimise(
        self, X: npt.NDArray[Any], hit: npt.NDArray[np.bool_], question: Any
    ) -> FloatArray:
        starts = np.flatnonzero(np.diff(question, prepend=question[0] - 1))
        lengths = np.diff(np.append(starts, len(question)))
        number = np.repeat(np.arange(len(starts)), lengths)
        share = hit / np.add.reduceat(hit.astype(np.float64), starts)[number]
        ridge = self.regularisation / len(starts)

        def loss(weights: FloatArray) -> tuple[float, FloatArray]:
            scores = (X @ weights.astype(X.dtype)).astype(np.float64)
            scores -= np.maximum.reduceat(scores, starts)[number]
            size = np.exp(scores)
            total = np.add.reduceat(size, starts)
            surprise = share @ (np.log(total)[number] - scores)
            slope = X.T @ (size / total[number] - share).astype(X.dtype)
            return (
                float(surprise / len(starts) + ridge * (weights @ weights)),
                slope / len(starts) + 2 * ridge * weights,
            )

        found = minimize(
            loss,
            np.full(X.shape[1], 0.1) if self.start is None else self.start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": self.max_iterations},
        )
        weights: FloatArray = found.x
        return weights
