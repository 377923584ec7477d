"""How a history is remembered: how much each of its products has to say. numpy only.

Training and serving share it: training remembers many histories at once, serving one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

DAY_S = 86_400.0

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# A product that has less to say than this is forgotten.
LEAST = 1e-4


@dataclass(frozen=True)
class Memory:
    """One way to weigh the products of a history.

    Parameters
    ----------
    half_life_days : float, optional
        What happened so long ago counts half.
    step : float, optional
        Each moment further back counts so much less, whatever the time between: 1 for what
        happened last, step for what happened before it. The products of one moment (an order)
        count alike, and how often something happened does not count.
    bought_only : bool
        Only purchases are remembered.
    """

    half_life_days: float | None = None
    step: float | None = None
    bought_only: bool = False


MEMORIES = {
    "all": Memory(),
    "months": Memory(half_life_days=60.0),
    "weeks": Memory(half_life_days=20.0),
    "days": Memory(half_life_days=5.0),
    "latest": Memory(step=0.8),
    "last": Memory(step=0.3),
    "bought": Memory(half_life_days=60.0, bought_only=True),
}


@dataclass(frozen=True, eq=False)
class Histories:
    """Histories as parallel arrays, in any order.

    Attributes
    ----------
    row : ndarray of int64, shape (n,)
        Whose history it is part of.
    product : ndarray of int64, shape (n,)
    weight : ndarray of float64, shape (n,)
        Above 0.
    age_s : ndarray of float64, shape (n,)
        Seconds before the question; below 0 (a fast clock) counts as 0.
    bought : ndarray of bool, shape (n,)
        Whether it was a purchase.
    """

    row: IntArray
    product: IntArray
    weight: npt.NDArray[np.float64]
    age_s: npt.NDArray[np.float64]
    bought: npt.NDArray[np.bool_]

    def take(self, rows: npt.NDArray[Any]) -> Histories:
        """Return the lines of a mask or of row numbers."""
        return Histories(*(getattr(self, item.name)[rows] for item in fields(self)))


class Pairs:
    """The products of histories, each once, to be remembered in several ways.

    Parameters
    ----------
    histories : Histories
    num_products : int

    Attributes
    ----------
    row, product : ndarray of int64, shape (pairs,)
        In order of row and product.
    """

    def __init__(self, histories: Histories, *, num_products: int) -> None:
        key = histories.row * num_products + histories.product
        keys, self._place = np.unique(key, return_inverse=True)
        self.row, self.product = np.divmod(keys, max(num_products, 1))
        self._histories = histories
        self._age_s = np.maximum(histories.age_s, 0.0)
        self._moments: dict[bool, npt.NDArray[np.float64]] = {}

    def strengths(self, memory: Memory, *, weight_exponent: float) -> FloatArray:
        """Return the strength of each pair by one way to remember, 0 where it is forgotten.

        The strength is log(1 + Σ weight^exponent · 2^(-age / half-life)) or, by
        steps, step^(number of moments since).

        Parameters
        ----------
        memory : Memory
        weight_exponent : float
            0: a purchase counts like a view; 1: as the event types say.

        Returns
        -------
        ndarray of float32, shape (pairs,)
        """
        size = len(self.row)
        chosen = self._histories.bought if memory.bought_only else slice(None)
        place, age_s = self._place[chosen], self._age_s[chosen]
        if memory.step is not None:
            if memory.bought_only not in self._moments:
                self._moments[memory.bought_only] = self._moments_since(place, age_s)
            strength = memory.step ** self._moments[memory.bought_only]
        else:
            worth = self._histories.weight[chosen] ** weight_exponent
            if memory.half_life_days is not None:
                worth = worth * np.exp2(-age_s / (memory.half_life_days * DAY_S))
            strength = np.log1p(np.bincount(place, weights=worth, minlength=size))
        return np.where(strength > LEAST, strength, 0.0).astype(np.float32)

    def _moments_since(
        self, place: IntArray, age_s: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return how many moments came later than each pair's last one, infinity for none."""
        newest = _smallest(age_s, place, len(self.row))
        is_met = np.isfinite(newest)
        moments = _moments_since(self.row, np.where(is_met, newest, np.finfo(np.float64).max))
        return np.where(is_met, moments, np.inf)


def _smallest(values: npt.NDArray[Any], place: IntArray, size: int) -> npt.NDArray[np.float64]:
    smallest = np.full(size, np.inf)
    np.minimum.at(smallest, place, values)
    return smallest


def _moments_since(row: IntArray, age_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how many different moments of the same history came later, for each product."""
    if len(row) == 0:
        return np.zeros(0)
    order = np.lexsort((age_s, row))
    later = np.zeros(len(order), dtype=np.int64)
    same_row = row[order][1:] == row[order][:-1]
    another = same_row & (np.diff(age_s[order]) > 0)
    steps = np.concatenate(([0], np.cumsum(another)))
    starts = np.flatnonzero(np.concatenate(([True], ~same_row)))
    later[order] = steps - np.repeat(steps[starts], np.diff(np.append(starts, len(order))))
    return later.astype(np.float64)
