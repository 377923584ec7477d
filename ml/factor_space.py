"""A person's latest history among the factors of products. numpy only: the web process uses it.

`ml.estimators.normal_equations` does the same for many people at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.memory import FloatArray

Places = npt.NDArray[np.int64]


class FoldedIn(NamedTuple):
    """A person's factors, and whom they come from.

    Attributes
    ----------
    factors : ndarray of float32, shape (k,)
    voices_for : callable
        Of the factors of some products, shape (count, k): the part of each product of the history
        in the scores of these, shape (places, count). That a score is a sum over the history is
        how Hu, Koren and Volinsky (2008) explain it.
    """

    factors: FloatArray
    voices_for: Callable[[FloatArray], FloatArray]


class FactorSpace:
    """The factors of the products, turned so that what all people share is a diagonal.

    No score changes by that: those of people are turned alike.

    Parameters
    ----------
    factors : ndarray, shape (products, k)
    known : ndarray of bool, shape (products,)
        The products that somebody met.
    regularisation, unobserved_weight : float
        As `ml.estimators.factors.ImplicitFactors` learned them.
    """

    def __init__(
        self,
        factors: npt.NDArray[Any],
        known: npt.NDArray[np.bool_],
        *,
        regularisation: float,
        unobserved_weight: float,
    ) -> None:
        plain = factors.astype(np.float32)
        met = plain[known].astype(np.float64)
        shared, turn = np.linalg.eigh(unobserved_weight * (met.T @ met))
        self.factors = plain @ turn.astype(np.float32)
        # What rounding leaves below 0 is 0.
        self._shared = np.maximum(shared, 0.0).astype(np.float32)
        self._regularisation = regularisation
        self._unobserved = unobserved_weight * len(plain)

    def fold_in(self, places: Places, strength: FloatArray) -> FoldedIn:
        """Find a person's factors, see `ml.estimators.factors.ImplicitFactors.fold_in`.

        Parameters
        ----------
        places : ndarray of int64
            The products of the history, each once.
        strength : ndarray of float32
            Of each of them, 0 or more.
        """
        ridge = self._regularisation * (np.count_nonzero(strength) + self._unobserved)
        diagonal = self._shared + np.float32(ridge)
        root = np.sqrt(strength)
        met = self.factors[places] * root[:, None]
        if len(places) < len(diagonal):
            return _fold_in_short(root, met, diagonal)
        return _fold_in_long(root, met, diagonal)


def _fold_in_short(root: FloatArray, met: FloatArray, diagonal: FloatArray) -> FoldedIn:
    """Solve (D + MᵀM)·w = Mᵀ·r as w = D⁻¹·Mᵀ·(I + M·D⁻¹·Mᵀ)⁻¹·r."""
    scaled = met / diagonal
    inner = scaled @ met.T
    inner[np.diag_indices_from(inner)] += 1.0

    def voices_for(asked: FloatArray) -> FloatArray:
        return root[:, None] * np.linalg.solve(inner, scaled @ asked.T)

    return FoldedIn(np.linalg.solve(inner, root) @ scaled, voices_for)


def _fold_in_long(root: FloatArray, met: FloatArray, diagonal: FloatArray) -> FoldedIn:
    """Solve (D + MᵀM)·w = Mᵀ·r as it stands."""
    left = met.T @ met
    left[np.diag_indices_from(left)] += diagonal

    def voices_for(asked: FloatArray) -> FloatArray:
        # `left` is symmetric: the few products are solved for, not the whole history.
        return root[:, None] * (met @ np.linalg.solve(left, asked.T))

    return FoldedIn(np.linalg.solve(left, root @ met), voices_for)
