"""Scores of many histories at once: each signal, and the lists that are made of them.

`ml.serving` scores one history by the same rules with numpy alone; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.dataset import Interactions
from ml.memory import MEMORIES
from ml.parallel import run_all
from ml.ranking import SCORING_ARRAYS, IntTable, blocks, top_k_entries
from ml.recipe import ListWeights
from ml.remembered import Remembered
from ml.signals import FACTORS, OWN, SIGNALS, FloatArray, scale, weigh
from ml.sources import Sources
from ml.splits.split import met_matrix
from ml.unmet import HEARD_BY, WORDS, order_by_words

People = npt.NDArray[np.int32]
#: Which products are not ranked for whom, shape (people, products).
Barred = npt.NDArray[np.bool_]
Scorer = Callable[[People], FloatArray]
#: Rows and columns of some cells.
Cells = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


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
        self._remembered = Remembered(history, now=now)
        self._strengths: dict[str, Any] = {}
        self._folded: dict[str, FloatArray] = {}
        self._lock = RLock()

    def strengths(self, memory: str) -> Any:
        """Return the histories by one way to remember, csr_array (questions, products)."""
        with self._lock:
            if memory not in self._strengths:
                self._strengths[memory] = self._remembered.strengths(
                    MEMORIES[memory], self.sources.choices.weight_exponent
                )
            return self._strengths[memory]

    def score(self, signal: str, people: People) -> FloatArray:
        """Return one signal for some rows, shape (people, products)."""
        if SIGNALS[signal][0] == FACTORS:
            return self._score_by_factors(signal, people)
        said: FloatArray = self.said(signal, people).toarray()
        return said

    def said(self, signal: str, people: People) -> Any:
        """Return what a table, or their own history, says to some rows, as a csr_array."""
        source, memory = SIGNALS[signal]
        strengths = self.strengths(memory)[people]
        if source == OWN:
            return strengths
        return strengths @ self.sources.tables[source].table_matrix()

    def shares(
        self, signal: str, people: People, barred: Barred, among: Cells | None = None
    ) -> Shares:
        """Return one signal as shares of the best product that is ranked for each person.

        Of factors, which speak of all products, those of some cells alone if these are given.
        """
        if SIGNALS[signal][0] == FACTORS:
            scores = self._score_by_factors(signal, people)
            best = np.where(barred, 0, scores).max(axis=1, initial=0.0)
            if among is None:
                return Shares(slice(None), slice(None), scale(scores, best[:, None]))
            row, column = among
            return Shares(row, column, scale(scores[row, column], best[row]))
        said = self.said(signal, people)
        row = np.repeat(np.arange(said.shape[0]), np.diff(said.indptr))
        best = _largest(np.where(barred[row, said.indices], 0.0, said.data), said.indptr)
        return Shares(row, said.indices, scale(said.data, best[row]))

    def _score_by_factors(self, signal: str, people: People) -> FloatArray:
        factors, memory = self.sources.factors, SIGNALS[signal][1]
        assert factors is not None
        with self._lock:
            if memory not in self._folded:
                self._folded[memory] = factors.fold_in(self.strengths(memory))
        return self._folded[memory][people] @ factors.item_factors_.T


class Shares(NamedTuple):
    """Shares of some products, and where they stand among all: no other has any.

    Factors speak of all products: two empty slices, and a share for each cell.
    """

    row: Any
    column: Any
    share: FloatArray


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

        A product that nobody met scores as those it is alike, in the order chosen.
        """
        sources = self._signals.sources
        barred = bar(sources.known, self._seen, people)
        scores = np.tile(self._trend, (len(people), 1))
        for signal, pair in self._weights.signals.items():
            row, column, share = self._signals.shares(signal, people, barred)
            scores[row, column] += weigh(share, *pair)
        has_kin = np.diff(sources.kin.indptr) > 0
        scores[:, has_kin] = scores @ sources.kin[has_kin].T
        if sources.choices.unmet_order == WORDS:
            likeness = self._likeness(people, has_kin)
            scores[:, has_kin] = order_by_words(scores[:, has_kin], likeness)
        scores[:, ~sources.known & ~has_kin] = -np.inf
        return scores

    def _likeness(self, people: People, products: npt.NDArray[np.bool_]) -> FloatArray:
        words = self._signals.sources.features
        met = self._signals.strengths(HEARD_BY)[people] @ words
        likeness: FloatArray = (met @ words[products].T).toarray()
        return likeness


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
    weights = _one_memory_each(weights)
    now = float(products.time.max(initial=0.0))
    signals = SignalScorer(sources, products, now=now)
    given = met_matrix(products)
    trend = trend_scores(sources, weights)
    spoken = [name for name in weights.signals if SIGNALS[name][0] in sources.tables]
    width = min(k, sources.num_products)

    def rank(rows: slice) -> tuple[IntTable, FloatArray]:
        people = np.arange(rows.start, rows.stop, dtype=np.int32)
        barred = bar(sources.known, given, people)
        scores = np.zeros(barred.shape, np.float32)
        named = np.zeros(barred.shape, dtype=bool)
        for signal in spoken:
            row, column, share = signals.shares(signal, people, barred)
            scores[row, column] += weigh(share, *weights.signals[signal])
            named[row, column] |= share > 0
        # What no table has a word for is no neighbour, so nothing else need be weighed.
        row, column = np.nonzero(named & ~barred)
        value = scores[row, column] + trend[column]
        for signal in weights.signals:
            if signal not in spoken:
                share = signals.shares(signal, people, barred, (row, column)).share
                value += weigh(share, *weights.signals[signal])
        return top_k_entries(row, column, value, len(people), width)

    parts = run_all(partial(rank, rows) for rows in blocks(*given.shape, arrays=SCORING_ARRAYS))
    index = np.concatenate([np.full((0, width), -1, np.int32), *(part[0] for part in parts)])
    score = np.concatenate([np.zeros((0, width), np.float32), *(part[1] for part in parts)])
    return index, _between_0_and_1(index, score)


def _one_memory_each(weights: ListWeights) -> ListWeights:
    """Return weights of one signal of each source: one product, just met, is remembered alike.

    No memory of purchases has it, and its own history is no neighbour.
    """
    firsts: dict[str, str] = {}
    pairs: dict[str, tuple[float, float]] = {}
    for signal, (straight, root) in weights.signals.items():
        source, memory = SIGNALS[signal]
        if source == OWN or MEMORIES[memory].bought_only:
            continue
        first = firsts.setdefault(source, signal)
        before = pairs.get(first, (0.0, 0.0))
        pairs[first] = (before[0] + straight, before[1] + root)
    return ListWeights(pairs, weights.trends)


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


def _largest(values: FloatArray, starts: npt.NDArray[Any]) -> FloatArray:
    """Return the largest value of each row of a sparse matrix, at least 0."""
    largest = np.maximum.reduceat(np.append(values, np.float32(0)), starts[:-1])
    return np.where(np.diff(starts) > 0, np.maximum(largest, 0), 0).astype(np.float32)


def _between_0_and_1(index: IntTable, score: FloatArray) -> FloatArray:
    """Map scores of any size to (0, 1) in their order: the logistic function of what is above."""
    squeezed = 1.0 / (1.0 + np.exp(-np.clip(score, -50.0, 50.0, dtype=np.float64)))
    return np.where(index >= 0, squeezed, 0.0).astype(np.float32)
