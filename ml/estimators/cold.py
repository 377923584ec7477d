"""Factors for products that nobody met, from what is known of them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted, validate_data

from ml.estimators.parameters import check_parameters

FloatArray = npt.NDArray[np.floating]

FLOATS = (np.float32, np.float64)
# In float32 more precision than this cannot be had.
TOLERANCE = 1e-5


class ContentFactors(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Ridge regression from content to factors: learned where people met a product, used elsewhere.

    Minimises ‖Y - m - F·W‖² + alpha·‖W‖², F the features, Y the factors and m
    their average [1]_: a product of which nothing is known gets the average.

    Sparse features are solved by conjugate gradients, which never builds a
    matrix of words by words; dense ones by Cholesky decomposition.

    Parameters
    ----------
    alpha : float
        In units of squared feature: rows of `ml.estimators.words.word_features` have the length 1.

    Attributes
    ----------
    coef_ : ndarray, shape (factors, features)
        In the precision of the features; (features,) where the factors are one number per product.
    intercept_ : ndarray, shape (factors,)
        The average m.

    References
    ----------
    .. [1] Gantner, Drumond, Freudenthaler, Rendle, Schmidt-Thieme: Learning attribute-to-feature
       mappings for cold-start recommendations, ICDM 2010.
    """

    coef_: FloatArray
    intercept_: FloatArray

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from products that have both.

        Parameters
        ----------
        X : array-like or sparse, shape (products, features)
        y : array-like, shape (products, factors) or (products,)
        """
        check_parameters(self, above={"alpha": 0})
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=FLOATS, multi_output=True, y_numeric=True
        )
        factors = np.asarray(y, dtype=X.dtype)
        self.intercept_ = factors.mean(axis=0)
        ridge = Ridge(self.alpha, fit_intercept=False, tol=TOLERANCE)
        self.coef_ = ridge.fit(X, factors - self.intercept_).coef_
        return self

    def predict(self, X: Any) -> FloatArray:
        """Return the factors of products by their features.

        Parameters
        ----------
        X : array-like or sparse, shape (products, features)

        Returns
        -------
        ndarray, shape (products, factors) or (products,)
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=FLOATS)
        return np.asarray(X @ self.coef_.T + self.intercept_)

    def __sklearn_tags__(self) -> Any:
        """Say that features may be sparse."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
