"""Scores of many histories at once: each signal, and the lists that are made of them.

`ml.serving` scores one history by the same rules with numpy alone; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.dataset import Interactions
from ml.memory import MEMORIES
from ml.ranking import IntTable, blocks, top_k_entries
from ml.recipe import ListWeights
from ml.signals import FACTORS, OWN, SIGNALS, FloatArray, scale, weigh
from ml.sources import Sources, remember_all
from ml.splits.split import met_matrix

People = npt.NDArray[np.int32]
#: Which products are not ranked for whom, shape (people, products).
Barred = npt.NDArray[np.bool_]
Scorer = Callable[[People], FloatArray]


class SignalScorer:
    """Scores of single signals for the rows of some histories.

    Parameters
    ----------
    sources : Sources
    history : Interactions
        `user` is the row of a question, asked at `now`.
    now : float
        Unix seconds.
    """

    def __init__(self, sources: Sources, history: Interactions, *, now: float) -> None:
        self.sources = sources
        self._history = history
        self._now = now
        self._remembered: dict[str, Any] = {}

    def strengths(self, memory: str) -> Any:
        """Return the histories by one way to remember, csr_array (questions, products)."""
        if memory not in self._remembered:
            self._remembered[memory] = remember_all(
                self._history,
                MEMORIES[memory],
                now=self._now,
                exponent=self.sources.choices.weight_exponent,
            )
        return self._remembered[memory]

    def score(self, signal: str, people: People) -> FloatArray:
        """Return one signal for some rows, shape (people, products)."""
        source, memory = SIGNALS[signal]
        strengths = self.strengths(memory)[people]
        if source == OWN:
            return strengths.toarray()
        if source == FACTORS:
            assert self.sources.factors is not None
            return self.sources.factors.transform(strengths)
        scores: FloatArray = (strengths @ self.sources.tables[source].table_matrix()).toarray()
        return scores

    def shares(
        self, signals: Collection[str], people: People, barred: Barred
    ) -> Iterator[tuple[str, FloatArray]]:
        """Yield each signal as shares of the best product that is ranked for each person."""
        for signal in signals:
            scores = self.score(signal, people)
            best = np.max(scores, axis=1, where=~barred, initial=0.0)
            yield signal, scale(scores, best[:, None])


class ListScorer:
    """Scores of one list.

    Parameters
    ----------
    signals : SignalScorer
    weights : ListWeights
    seen : csr_array of bool, shape (questions, products), optional
        What each person knows already and is not shown; None: all may be shown.
    """

    def __init__(self, signals: SignalScorer, weights: ListWeights, seen: Any = None) -> None:
        self._signals = signals
        self._weights = weights
        self._seen = seen
        self._trend = trend_scores(signals.sources, weights)

    def __call__(self, people: People) -> FloatArray:
        """Return the scores of some rows, shape (people, products); -inf: it is not in the list.

        A product that nobody met scores as those it is alike.
        """
        sources = self._signals.sources
        barred = bar(sources.known, self._seen, people)
        scores = np.tile(self._trend, (len(people), 1))
        for signal, shares in self._signals.shares(self._weights.signals, people, barred):
            scores += weigh(shares, *self._weights.signals[signal])
        has_kin = np.diff(sources.kin.indptr) > 0
        scores[:, has_kin] = scores @ sources.kin[has_kin].T
        scores[:, ~sources.known & ~has_kin] = -np.inf
        return scores


def bar(known: npt.NDArray[np.bool_], seen: Any, people: People) -> Barred:
    """Return which products are not ranked for whom: what nobody met, and what they have seen."""
    barred = np.broadcast_to(~known, (len(people), len(known)))
    return barred if seen is None else barred | seen[people].toarray()


def trend_scores(sources: Sources, weights: ListWeights) -> FloatArray:
    """Return what the trends add to the score of each product, whoever asks, shape (products,).

    Trends that the data has none of, those of purchases where nothing was bought, add nothing.
    """
    scores = np.zeros(sources.num_products, np.float32)
    for name, pair in weights.trends.items():
        if name in sources.trends:
            scores += weigh(sources.trends[name], *pair)
    return scores


def rank_neighbours(
    sources: Sources, weights: ListWeights, products: Interactions, k: int
) -> tuple[IntTable, FloatArray]:
    """Return the k products that a list names beside one product alone.

    Parameters
    ----------
    products : Interactions
        Row i holds the product that is looked at, alone.
    k : int

    Returns
    -------
    index : ndarray of int32, shape (rows, min(k, products))
        Best first, -1 where there is none: no table has a word for it.
    score : ndarray of float32, same shape
        Between 0 and 1, falling.
    """
    now = float(products.time.max(initial=0.0))
    signals = SignalScorer(sources, products, now=now)
    given = met_matrix(products)
    trend = trend_scores(sources, weights)
    spoken = [name for name in weights.signals if SIGNALS[name][0] in sources.tables]
    width = min(k, sources.num_products)
    index = np.full((products.shape[0], width), -1, np.int32)
    score = np.zeros(index.shape, np.float32)
    for rows in blocks(products.shape[0], sources.num_products):
        people = np.arange(rows.start, rows.stop, dtype=np.int32)
        barred = bar(sources.known, given, people)
        # What no table has a word for is no neighbour, so nothing else need be weighed.
        named = np.zeros(barred.shape, dtype=bool)
        for signal in spoken:
            named |= signals.score(signal, people) > 0
        row, column = np.nonzero(named & ~barred)
        scores = trend[column]
        for signal, pair in weights.signals.items():
            said = signals.score(signal, people)
            best = np.max(said, axis=1, where=~barred, initial=0.0)
            scores += weigh(scale(said[row, column], best[row]), *pair)
        index[rows], score[rows] = top_k_entries(row, column, scores, len(people), width)
    return index, _between_0_and_1(index, score)


def one_each(products: npt.NDArray[Any], product_ids: list[str]) -> Interactions:
    """Return interactions in which row i holds product i of some alone, all at one moment."""
    count = len(products)
    return Interactions(
        [""] * count,
        product_ids,
        np.arange(count, dtype=np.int32),
        products.astype(np.int32),
        np.ones(count, np.float32),
        np.zeros(count),
        np.arange(count, dtype=np.int64),
        np.zeros(count, dtype=bool),
        np.full(count, -1, np.int64),
    )


def _between_0_and_1(index: IntTable, score: FloatArray) -> FloatArray:
    """Map scores of any size to (0, 1) in their order: the logistic function of what is above."""
    squeezed = 1.0 / (1.0 + np.exp(-np.clip(score, -50.0, 50.0, dtype=np.float64)))
    return np.where(index >= 0, squeezed, 0.0).astype(np.float32)
