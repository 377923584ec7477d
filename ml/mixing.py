"""How a person's scores and popularity become one score.

numpy only: training and serving share it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


def popularity_share(num_met: npt.NDArray[Any], *, share: float, prior: float) -> FloatArray:
    """Return how much of the mixed score is popularity, per person.

    share + (1 - share) · prior / (prior + products met): who has met nothing
    gets popularity alone, and its part falls to `share` as evidence grows.

    Parameters
    ----------
    num_met : ndarray of int, shape (people,)
    share : float
        Part of popularity that never goes, 0 to 1.
    prior : float
        Number of products met at which half of the rest has gone.
    """
    met = np.asarray(num_met, dtype=np.float32)
    fading = np.where(met > 0, prior / np.maximum(prior + met, 1.0), 1.0)
    return (share + (1.0 - share) * fading).astype(np.float32)


def scale_rows(scores: npt.NDArray[Any]) -> FloatArray:
    """Divide each row by its largest value, so that the best is 1; empty rows stay zero."""
    best = scores.max(axis=-1, keepdims=True, initial=0.0)
    return (scores / np.where(best > 0, best, 1.0)).astype(np.float32)


def mix(personal: FloatArray, popularity: FloatArray, part: FloatArray) -> FloatArray:
    """Mix scaled scores: (1 - part) · personal + part · popularity.

    Parameters
    ----------
    personal : ndarray, shape (people, products)
    popularity : ndarray, shape (products,)
    part : ndarray, shape (people,)
        From `popularity_share`.
    """
    return (1.0 - part)[:, None] * personal + part[:, None] * popularity[None, :]
