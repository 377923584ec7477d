"""Signals: what each source says of each product to somebody, by one way to remember.

numpy only: the web process uses it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.memory import Memory

FloatArray = npt.NDArray[np.float32]

OWN = "own"
FACTORS = "factors"
TABLES = ("ease", "knn", "baskets", "rp3", "sequences", "words")

#: Source → the memories it is asked with, see `ml.memory.MEMORIES`.
SOURCES = {
    "ease": ("all", "months", "weeks", "latest"),
    "knn": ("months", "latest"),
    "baskets": ("latest",),
    "rp3": ("months",),
    "sequences": ("last", "latest"),
    "words": ("latest",),
    FACTORS: ("all", "months"),
    OWN: ("all", "months", "weeks", "days", "bought"),
}


def signal_name(source: str, memory: str) -> str:
    """Return the name of a signal, as it stands in a recipe."""
    return f"{source}_{memory}"


SIGNALS = {
    signal_name(source, memory): (source, memory)
    for source, memories in SOURCES.items()
    for memory in memories
}


#: Popularity that fades, by name: how it is remembered.
TRENDS = {
    "trend_all": Memory(),
    **{f"trend_{days}": Memory(half_life_days=days) for days in (90, 30, 14, 7, 3, 1)},
    "trend_bought_all": Memory(bought_only=True),
    **{f"trend_bought_{days}": Memory(half_life_days=days, bought_only=True) for days in (30, 7)},
}


def scale(scores: npt.NDArray[np.floating], best: npt.NDArray[np.floating]) -> FloatArray:
    """Return scores as shares of the best one, between 0 and 1.

    Parameters
    ----------
    scores : ndarray, shape (..., products)
    best : ndarray, shape (..., 1)
        The largest score among the products that are ranked.
    """
    shares = scores / np.where(best > 0, best, 1.0)
    return np.clip(shares, 0.0, 1.0).astype(np.float32, copy=False)


def weigh(shares: FloatArray, straight: float | FloatArray, root: float | FloatArray) -> FloatArray:
    """Return straight · share + root · √share: what a signal adds to the score of a product."""
    added: FloatArray = np.float32(straight) * shares
    added += np.float32(root) * np.sqrt(shares)
    return added
