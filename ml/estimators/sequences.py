"""Sequential rules: what came soon after what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array, diags_array

from ml.dataset import Interactions, decay
from ml.estimators.parameters import check_parameters
from ml.estimators.table import ItemTable, best_neighbours
from ml.ranking import blocks

# What a pair counts by its distance in steps, 1 for the next one.
DECAYS: dict[str, Callable[[float, float], float]] = {
    "reciprocal": lambda distance, reach: 1.0 / distance,
    "linear": lambda distance, reach: 1.0 - (distance - 1.0) / reach,
    "none": lambda distance, reach: 1.0,
}


class SequenceRules(ItemTable):
    """Rules i → j from pairs in which j came at most so many steps after i [1]_.

    score(i, j) = Σ over such pairs of decay(distance) / begun(i)^exponent,
    begun(i) the number of times that something came after i within reach.
    A pair of a product with itself is no rule. An interaction with a weight of
    0 or below (a product taken out of the cart) is no step.

    It learns from an order and not from a matrix, so it is no scikit-learn
    estimator as to `fit`; it transforms as one. There the strengths say how
    much each product of a history has to say: most for the latest.

    Parameters
    ----------
    k : int
        How many rules are kept per product.
    reach : int
        In steps.
    decay : {"reciprocal", "linear", "none"}
        1 / distance, 1 - (distance - 1) / reach, or 1.
    gap_s : float, optional
        Seconds without an interaction that end a visit where no session is
        known: a pair lies within one visit. None: all that a person did is one.
    half_life_days : float, optional
        A pair counts half when it is so much older than the latest
        interaction. None: pairs of any age count alike.
    exponent : float
        1: a rule's score is near a probability, whatever the number of times
        that i was met; 0: products met often say more.

    Attributes
    ----------
    index_, score_ : ndarray
        See `ItemTable`.

    References
    ----------
    .. [1] Ludewig, Jannach: Evaluation of session-based recommendation algorithms, UMUAI 28, 2018.
    """

    def __init__(
        self,
        k: int = 100,
        *,
        reach: int = 10,
        decay: str = "reciprocal",
        gap_s: float | None = 1800.0,
        half_life_days: float | None = None,
        exponent: float = 1.0,
    ) -> None:
        self.k = k
        self.reach = reach
        self.decay = decay
        self.gap_s = gap_s
        self.half_life_days = half_life_days
        self.exponent = exponent

    def fit(self, interactions: Interactions, y: Any = None) -> Self:
        """Learn the rules.

        Parameters
        ----------
        interactions : Interactions
            In any order: time and, where times are equal, `row` say what came first.
        y : ignored
        """
        check_parameters(
            self, at_least={"k": 1, "reach": 1, "exponent": 0}, one_of={"decay": DECAYS}
        )
        if self.gap_s is not None:
            check_parameters(self, at_least={"gap_s": 0})
        if self.half_life_days is not None:
            check_parameters(self, above={"half_life_days": 0})
        steps = interactions.take(interactions.weight > 0)
        steps = steps.take(np.lexsort((steps.row, steps.time, steps.user)))
        num_products = steps.shape[1]
        self.n_features_in_ = num_products
        pairs = self._count_pairs(steps)
        index, score = self._empty_table(num_products)
        for rows in blocks(num_products, num_products):
            index[rows], score[rows] = best_neighbours(
                pairs[rows], index.shape[1], first_product=rows.start
            )
        return self._keep_table(index, score)

    def _count_pairs(self, steps: Interactions) -> Any:
        """Return the scores of all pairs, (products, products), from steps visit by visit."""
        visit = _number_visits(steps, self.gap_s)
        worth = self._fade(steps.time)
        shape = (steps.shape[1], steps.shape[1])
        pairs = csr_array(shape, dtype=np.float64)
        begins = np.zeros(len(steps), dtype=bool)
        for distance in range(1, min(self.reach, len(steps) - 1) + 1):
            earlier, later = steps.product[:-distance], steps.product[distance:]
            paired = (visit[:-distance] == visit[distance:]) & (earlier != later)
            if not paired.any():
                continue
            begins[:-distance] |= paired
            weight = worth[distance:][paired] * DECAYS[self.decay](distance, self.reach)
            pairs = pairs + coo_array((weight, (earlier[paired], later[paired])), shape).tocsr()
        begun = np.bincount(steps.product, weights=worth * begins, minlength=shape[0])
        share = np.where(begun > 0, begun, 1.0) ** -self.exponent
        return csr_array(diags_array(share) @ pairs).astype(np.float32)

    def _fade(self, time: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self.half_life_days is None or len(time) == 0:
            return np.ones(len(time))
        return decay(time.max() - time, self.half_life_days)


def _number_visits(steps: Interactions, gap_s: float | None) -> npt.NDArray[np.int64]:
    """Return the number of the visit that each step belongs to.

    Where two steps that follow each other both know their session, that
    decides whether it is the same visit; elsewhere the time between them does.
    """
    if len(steps) == 0:
        return np.zeros(0, dtype=np.int64)
    begins = np.diff(steps.user) != 0
    if gap_s is not None:
        known = (steps.visit[1:] >= 0) & (steps.visit[:-1] >= 0)
        another = np.diff(steps.visit) != 0
        begins |= np.where(known, another, np.diff(steps.time) > gap_s)
    return np.concatenate(([0], np.cumsum(begins)))
