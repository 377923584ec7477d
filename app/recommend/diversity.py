"""Lists of things that are not all alike: maximal marginal relevance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def pick_diverse(alike: npt.NDArray[Any], n: int, diversity: float) -> list[int]:
    """Pick n places of a ranked list, each as relevant and as unlike those before as can be.

    `alike` is a square of 0 to 1, in the order of the list. Relevance goes by place, since scores
    of different rungs do not compare: a pick is the largest (1 - diversity) · relevance -
    diversity · likeness to the most alike pick so far (Carbonell and Goldstein 1998).
    """
    count = len(alike)
    relevance = 1.0 - np.arange(count) / max(count, 1)
    nearest = np.zeros(count)
    left = np.ones(count, dtype=bool)
    picked: list[int] = []
    while len(picked) < min(n, count):
        worth = np.where(left, (1.0 - diversity) * relevance - diversity * nearest, -np.inf)
        best = int(worth.argmax())
        picked.append(best)
        left[best] = False
        nearest = np.maximum(nearest, alike[best])
    return picked
