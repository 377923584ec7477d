"""What lists show all in all: how much of the catalogue, how evenly, how popular."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from ml.dataset import Interactions
from ml.ranking import IntTable

POPULAR_SHARE = 0.1


@dataclass(frozen=True)
class Exposure:
    """Figures of many lists together.

    Attributes
    ----------
    coverage : float
        Share of the products that could be ranked that is in some list.
    novelty : float
        Mean self-information of what is shown, in bits: -log2 of the share of people who met
        it. A product that nobody met counts as if one had.
    gini : float
        Of how often each product is shown: 0 = all as often, 1 = one alone.
    popularity_share : float
        Share of the places taken by the most popular tenth of the products.
    """

    coverage: float
    novelty: float
    gini: float
    popularity_share: float


def measure_exposure(
    lists: Sequence[IntTable], train: Interactions, rankable: npt.NDArray[np.bool_]
) -> Exposure:
    """Measure lists of products; -1 is an empty place.

    Parameters
    ----------
    lists : sequence of ndarray of int32, shape (people, places)
    train : Interactions
        Says who met what.
    rankable : ndarray of bool, shape (products,)
    """
    shown = np.zeros(len(rankable), dtype=np.int64)
    for table in lists:
        shown += np.bincount(table[table >= 0], minlength=len(shown))
    places = shown.sum()
    if places == 0:
        return Exposure(0.0, 0.0, 0.0, 0.0)
    people = count_people(train)
    num_people = max(len(np.unique(train.user)), 1)
    information = np.log2(num_people / np.maximum(people, 1))
    popular = np.lexsort((np.arange(len(people)), -people, ~rankable))
    popular = popular[: int(np.ceil(POPULAR_SHARE * rankable.sum()))]
    return Exposure(
        coverage=float((shown > 0).sum() / rankable.sum()),
        novelty=float(shown @ information / places),
        gini=gini(shown[rankable]),
        popularity_share=float(shown[popular].sum() / places),
    )


_COUNTED: WeakKeyDictionary[Interactions, npt.NDArray[np.int64]] = WeakKeyDictionary()


def count_people(train: Interactions) -> npt.NDArray[np.int64]:
    """Return how many people met each product, shape (products,); counted once for each object."""
    if train not in _COUNTED:
        _COUNTED[train] = _count_people(train)
    return _COUNTED[train]


def _count_people(train: Interactions) -> npt.NDArray[np.int64]:
    pairs = np.unique(train.user.astype(np.int64) * train.shape[1] + train.product)
    return np.bincount(pairs % max(train.shape[1], 1), minlength=train.shape[1])


def gini(counts: npt.NDArray[np.int64]) -> float:
    """Return the Gini coefficient of counts, 0 where all are equal."""
    total, number = counts.sum(), len(counts)
    if total == 0:
        return 0.0
    rank = np.arange(1, number + 1)
    return float(((2 * rank - number - 1) @ np.sort(counts)) / (number * total))
