"""Interactions, remembered in several ways: how strongly each person met each product."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ml.dataset import Interactions
from ml.memory import Histories, Memory, Pairs


class Remembered:
    """What each person met, at one moment.

    It holds some forty bytes per interaction and twenty per pair: keep the strengths, not this.

    Parameters
    ----------
    interactions : Interactions
        Those with a positive weight count.
    now : float
        Unix seconds from which ages are counted.
    """

    def __init__(self, interactions: Interactions, *, now: float) -> None:
        self._shape = interactions.shape
        histories = _as_histories(interactions, now)
        self._pairs = Pairs(histories, num_products=max(interactions.shape[1], 1))

    def strengths(self, memory: Memory, exponent: float) -> Any:
        """Return the strengths by one way to remember.

        Parameters
        ----------
        memory : Memory
        exponent : float
            See `ml.recipe.Choices.weight_exponent`.

        Returns
        -------
        csr_array of float32, shape (people, products)
        """
        strength = self._pairs.strengths(memory, weight_exponent=exponent)
        kept = strength > 0
        row, product = self._pairs.row[kept], self._pairs.product[kept].astype(np.int32)
        starts = np.searchsorted(row, np.arange(self._shape[0] + 1)).astype(np.int32)
        return csr_array((strength[kept], product, starts), shape=self._shape)

    def popularity(self, memory: Memory, exponent: float) -> npt.NDArray[np.float32]:
        """Return Σ over people of their strength as shares of the largest, shape (products,)."""
        strength = self._pairs.strengths(memory, weight_exponent=exponent)
        total = np.bincount(self._pairs.product, strength, minlength=self._shape[1])
        return (total / max(total.max(initial=0.0), 1e-12)).astype(np.float32)


def _as_histories(interactions: Interactions, now: float) -> Histories:
    kept = interactions.positive()
    return Histories(
        kept.user.astype(np.int64),
        kept.product.astype(np.int64),
        kept.weight.astype(np.float64),
        now - kept.time,
        kept.bought,
    )
