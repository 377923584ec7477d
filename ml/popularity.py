"""What many people met lately."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.dataset import Interactions, strength_matrix


class RecentPopularity:
    """Popularity in which old interactions fade.

    score(product) = sum over people of log(1 + sum of decayed weights): the
    logarithm is taken per person, so one person alone cannot make a product popular.

    Parameters
    ----------
    half_life_days : float, optional
        None: plain popularity, nothing fades.

    Attributes
    ----------
    score_ : ndarray of float32, shape (products,)
    """

    score_: npt.NDArray[np.float32]

    def __init__(self, half_life_days: float | None = None) -> None:
        self.half_life_days = half_life_days

    def fit(self, interactions: Interactions, *, now: float) -> RecentPopularity:
        """Count the interactions.

        Parameters
        ----------
        interactions : Interactions
        now : float
            Unix seconds from which ages are counted.
        """
        strength = strength_matrix(interactions, now=now, half_life_days=self.half_life_days)
        self.score_ = np.bincount(
            strength.indices, weights=strength.data, minlength=strength.shape[1]
        ).astype(np.float32)
        return self
