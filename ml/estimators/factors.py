"""Implicit matrix factorisation by alternating least squares."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ml.estimators.implicit_library import train_with_implicit
from ml.estimators.normal_equations import FloatArray, solve_rows
from ml.estimators.parameters import check_parameters
from ml.estimators.strengths import check_strengths, count_people, strengths_tags

# The length of a product's factors at the start, as in the paper.
START_SPREAD = 0.1


class ImplicitFactors(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """iALS: a few numbers per person and per product whose products tell what was met.

    Minimises, over people u and products i with strengths x, [1]_ [2]_

        Σ_met x · (1 - w_u·h_i)² + α₀ · Σ_all (w_u·h_i)²
        + λ · Σ_u (|I_u| + α₀·products)^nu · ‖w_u‖² + λ · Σ_i (|U_i| + α₀·people)^nu · ‖h_i‖²

    where |I_u| is the number of products that u met and |U_i| the number of
    people who met i. With nu = 1 whoever met more is held back more.

    Parameters
    ----------
    num_factors : int
    regularisation : float
        λ.
    unobserved_weight : float
        α₀, the weight of every pair beside a strength of 1. Smaller ones suit larger catalogues.
    frequency_exponent : float
        nu; 0 regularises all alike.
    iterations : int
        Each solves for all people, then for all products.
    seed : int
        Of the factors at the start.
    solver : {"own", "implicit"}
        "implicit" trains with the package of that name, see `ml.estimators.implicit_library`.

    Attributes
    ----------
    item_factors_ : ndarray of float32, shape (products, num_factors)
        Zero for a product that nobody met.
    gram_ : ndarray of float32, shape (num_factors, num_factors)
        α₀ · HᵀH, the part of the normal equations that all people share.

    References
    ----------
    .. [1] Hu, Koren, Volinsky: Collaborative filtering for implicit feedback datasets, ICDM 2008.
    .. [2] Rendle, Krichene, Zhang, Koren: Revisiting the performance of iALS on item
       recommendation benchmarks, RecSys 2022 (arXiv:2110.14037).
    """

    item_factors_: FloatArray
    gram_: FloatArray

    def __init__(
        self,
        num_factors: int = 64,
        *,
        regularisation: float = 0.005,
        unobserved_weight: float = 0.3,
        frequency_exponent: float = 1.0,
        iterations: int = 10,
        seed: int = 0,
        solver: str = "own",
    ) -> None:
        self.num_factors = num_factors
        self.regularisation = regularisation
        self.unobserved_weight = unobserved_weight
        self.frequency_exponent = frequency_exponent
        self.iterations = iterations
        self.seed = seed
        self.solver = solver

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the factors of the products.

        Parameters
        ----------
        X : array-like or sparse, shape (people, products)
            Strengths >= 0.
        y : ignored
        """
        check_parameters(
            self,
            at_least={
                "num_factors": 1,
                "unobserved_weight": 0,
                "frequency_exponent": 0,
                "iterations": 1,
            },
            above={"regularisation": 0},
            one_of={"solver": ("own", "implicit")},
        )
        strengths = check_strengths(self, X, reset=True)
        if self.solver == "implicit":
            self.item_factors_ = self._train_with_implicit(strengths)
        else:
            self.item_factors_ = self._alternate(strengths)
        self.gram_ = self._shared_part(self.item_factors_)
        return self

    def fold_in(self, X: Any) -> FloatArray:
        """Return the factors of people, whether they were trained on or not.

        Parameters
        ----------
        X : array-like or sparse, shape (people, products)

        Returns
        -------
        ndarray of float32, shape (people, num_factors)
            Zero for who met nothing.
        """
        check_is_fitted(self)
        strengths = check_strengths(self, X, reset=False)
        return self._solve(strengths, self.item_factors_, self.gram_)

    def transform(self, X: Any) -> FloatArray:
        """Score every product for people by what they met.

        Parameters
        ----------
        X : array-like or sparse, shape (people, products)

        Returns
        -------
        ndarray of float32, shape (people, products)
            About 1 for what was met and 0 for what never would be.
        """
        return self.fold_in(X) @ self.item_factors_.T

    def _alternate(self, strengths: Any) -> FloatArray:
        by_product = strengths.T.tocsr()
        items = self._start(strengths.shape[1])
        items[count_people(strengths) == 0] = 0.0
        for _ in range(self.iterations):
            people = self._solve(strengths, items, self._shared_part(items))
            items = self._solve(by_product, people, self._shared_part(people))
        return items

    def _start(self, num_products: int) -> FloatArray:
        random = np.random.default_rng(self.seed)
        drawn = random.standard_normal((num_products, self.num_factors), dtype=np.float32)
        return drawn * np.float32(START_SPREAD / np.sqrt(self.num_factors))

    def _shared_part(self, factors: FloatArray) -> FloatArray:
        return np.float32(self.unobserved_weight) * (factors.T @ factors)

    def _solve(self, rows: Any, factors: FloatArray, shared: FloatArray) -> FloatArray:
        return solve_rows(rows, factors, shared, self._ridge(rows).astype(np.float32))

    def _ridge(self, rows: Any) -> npt.NDArray[np.float64]:
        """Return λ · (entries + α₀ · columns)^nu of each row."""
        weight = np.diff(rows.indptr) + self.unobserved_weight * rows.shape[1]
        return self.regularisation * weight**self.frequency_exponent

    def _train_with_implicit(self, strengths: Any) -> FloatArray:
        ridges = np.concatenate((self._ridge(strengths), self._ridge(strengths.T.tocsr())))
        return train_with_implicit(
            strengths,
            num_factors=self.num_factors,
            ridge=float(ridges.mean()),
            unobserved_weight=self.unobserved_weight,
            iterations=self.iterations,
            seed=self.seed,
        )

    def __sklearn_tags__(self) -> Any:
        """Say that strengths may be sparse, are not negative, and give float32."""
        return strengths_tags(super().__sklearn_tags__())
