"""From a person's latest history to a score per product. numpy only: the web process uses it.

`ml.blend` does the same for many people at once; a test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.layout import Arrays
from ml.mixing import FloatArray, scale_rows

DAY_S = 86_400.0

Places = npt.NDArray[np.int64]


def sum_history(
    history: Sequence[tuple[str, float, float]],
    place_of: Mapping[str, int],
    recipe: Mapping[str, Any],
) -> tuple[Places, npt.NDArray[np.float64]]:
    """Return the known products of a history and their strengths, as training counts them.

    Parameters
    ----------
    history : sequence of (product_id, weight, age_s)
    place_of : mapping of str to int
        Product id → row in the arrays.
    recipe : mapping
    """
    half_life_days = recipe["behaviour_half_life_days"]
    sums: dict[int, float] = {}
    for product_id, weight, age_s in history:
        place = place_of.get(product_id)
        if place is None or not math.isfinite(weight) or not math.isfinite(age_s):
            continue
        age_days = max(age_s, 0.0) / DAY_S
        fade = 2.0 ** -(age_days / half_life_days) if half_life_days else 1.0
        sums[place] = sums.get(place, 0.0) + weight * fade
    met = {place: total for place, total in sums.items() if total > 0}
    return np.array(list(met), dtype=np.int64), np.log1p(np.array(list(met.values())))


def score_history(
    places: Places,
    strengths: npt.NDArray[np.float64],
    arrays: Arrays,
    recipe: Mapping[str, Any],
) -> tuple[FloatArray, Places]:
    """Return the scaled score of every product, and which met product says most for it.

    Parameters
    ----------
    places, strengths : ndarray
        From `sum_history`.
    arrays : dict of str to ndarray
        See `ml.layout.SCHEMA`.
    recipe : mapping

    Returns
    -------
    scores : ndarray of float32, shape (products,)
    voice : ndarray of int64, shape (products,)
        Row of the met product, -1 where none speaks for a product.
    """
    num_products = len(arrays["popularity"])
    scores = np.zeros(num_products, dtype=np.float32)
    loudest = np.zeros(num_products, dtype=np.float32)
    voice = np.full(num_products, -1, dtype=np.int64)
    for place, strength in zip(places.tolist(), strengths.tolist(), strict=True):
        index, said = _speaks_for(place, arrays, recipe["content_weight"])
        said = said * np.float32(strength)
        scores[index] += said
        voice[index[said > loudest[index]]] = place
        loudest[index] = np.maximum(loudest[index], said)
    return scale_rows(scores), voice


def _speaks_for(
    place: int, arrays: Arrays, content_weight: float
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Behaviour neighbours of a product, else its weighted content neighbours."""
    index = arrays["behaviour_index"][place]
    if (index >= 0).any():
        return index[index >= 0], arrays["behaviour_score"][place][index >= 0]
    index = arrays["content_index"][place]
    score = arrays["content_score"][place][index >= 0]
    return index[index >= 0], score * np.float32(content_weight)
