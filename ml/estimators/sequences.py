"""Sequential rules: what came soon after what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array, diags_array

from ml.dataset import Interactions, decay
from ml.estimators.parameters import check_parameters
from ml.estimators.table import ItemTable

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
        steps = interactions.positive()
        steps = steps.take(np.lexsort((steps.row, steps.time, steps.user)))
        self.n_features_in_ = steps.shape[1]
        visit, worth = _number_visits(steps, self.gap_s), self._fade(steps.time)
        # The steps of each product, so that pairs are counted for some products at a time.
        place = np.argsort(steps.product, kind="stable")
        starts = np.searchsorted(steps.product[place], np.arange(steps.shape[1] + 1))

        def count(rows: slice) -> Any:
            begun = place[starts[rows.start] : starts[rows.stop]]
            return self._count_pairs(steps.product, visit, worth, begun, rows)

        return self._keep_best(count, steps.shape[1])

    def _count_pairs(
        self,
        product: npt.NDArray[np.int32],
        visit: npt.NDArray[np.int64],
        worth: npt.NDArray[np.float64],
        begun: npt.NDArray[np.int64],
        rows: slice,
    ) -> Any:
        """Return the scores of the pairs that begin with some products, (rows, products).

        `begun` are the steps with these products; steps lie visit by visit.
        """
        shape = (rows.stop - rows.start, self.n_features_in_)
        pairs = csr_array(shape, dtype=np.float64)
        begins = np.zeros(len(begun), dtype=bool)
        for distance in range(1, self.reach + 1):
            later = np.minimum(begun + distance, len(product) - 1)
            paired = (begun + distance == later) & (visit[begun] == visit[later])
            paired &= product[begun] != product[later]
            begins |= paired
            weight = worth[later[paired]] * DECAYS[self.decay](distance, self.reach)
            cells = (product[begun[paired]] - rows.start, product[later[paired]])
            pairs = pairs + coo_array((weight, cells), shape).tocsr()
        total = np.bincount(
            product[begun] - rows.start, weights=worth[begun] * begins, minlength=shape[0]
        )
        share = np.where(total > 0, total, 1.0) ** -self.exponent
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
