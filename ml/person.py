"""From a person's latest history to a score per product. numpy only: the web process uses it.

`ml.scoring` does the same for many people at once; a test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ml.factor_space import FactorSpace, FoldedIn
from ml.layout import Arrays
from ml.memory import MEMORIES, Histories, Pairs
from ml.recipe import Choices, ListWeights
from ml.rows import SparseRows
from ml.signals import FACTORS, OWN, SIGNALS, FloatArray, scale, weigh
from ml.tables import Said, Stack, Tables
from ml.unmet import HEARD_BY, WORDS, UnmetWords, order_by_words

Places = npt.NDArray[np.int64]

VISIT_GAP_S = 1800.0
#: Of a longer history the latest part counts.
MOST_LINES = 2000
#: Training reads weights as float32, and drops what is larger.
LARGEST_WEIGHT = float(np.finfo(np.float32).max)


class Met(NamedTuple):
    """One thing that somebody did with a product.

    `weight` is that of the event type, `age_s` how many seconds ago it was.
    """

    product_id: str
    weight: float
    age_s: float
    bought: bool = False


def read_visit(history: Sequence[Met]) -> Sequence[Met]:
    """Return what belongs to the latest visit: a pause of 30 minutes ends one."""
    dated = [line for line in history if math.isfinite(line.age_s)]
    lines = sorted(dated, key=lambda line: line.age_s)
    for number in range(1, len(lines)):
        if lines[number].age_s - lines[number - 1].age_s > VISIT_GAP_S:
            return lines[:number]
    return lines


@dataclass(frozen=True, eq=False)
class Person:
    """A history as arrays; see `ml.memory.Histories`."""

    places: Places
    weight: npt.NDArray[np.float64]
    age_s: npt.NDArray[np.float64]
    bought: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, history: Sequence[Met], place_of: Mapping[str, int]) -> Self:
        """Read a history; unknown products and numbers that say nothing are passed over."""
        places = np.array([place_of.get(line.product_id, -1) for line in history], np.int64)
        weight = np.array([line.weight for line in history], np.float64)
        age_s = np.array([line.age_s for line in history], np.float64)
        bought = np.array([line.bought for line in history], bool)
        known = (places >= 0) & (weight > 0) & (weight <= LARGEST_WEIGHT) & np.isfinite(age_s)
        newest = np.flatnonzero(known)
        newest = newest[np.argsort(age_s[newest], kind="stable")][:MOST_LINES]
        return cls(places[newest], weight[newest], age_s[newest], bought[newest])

    def as_histories(self) -> Histories:
        """Return it as one history of many."""
        rows = np.zeros(len(self.places), np.int64)
        return Histories(rows, self.places, self.weight, self.age_s, self.bought)


class PersonScorer:
    """Scores of one list for one person at a time.

    Parameters
    ----------
    arrays : dict of str to ndarray
        See `ml.layout.SCHEMA`.
    choices : Choices
    weights : ListWeights
    stack : Stack
        Of all tables that the weights need; lists share it.
    space : FactorSpace or None
        None where no signal is of factors; lists share it.
    trend : ndarray of float32, shape (products,)
        What the trends add to the score of each product.
    """

    def __init__(
        self,
        arrays: Arrays,
        choices: Choices,
        weights: ListWeights,
        *,
        stack: Stack,
        space: FactorSpace | None,
        trend: FloatArray,
    ) -> None:
        self._choices = choices
        self._weights = weights
        self._trend = trend
        self._known = arrays["known"]
        self._kin = SparseRows.of(arrays, "kin")
        self._has_kin = np.flatnonzero(np.diff(self._kin.starts))
        self._kin_entries = self._kin.gather(self._has_kin)
        self._heard_as = self._nearest_kin()
        by_words = choices.unmet_order == WORDS
        self._unmet_words = UnmetWords(arrays, self._has_kin) if by_words else None
        self._tables = Tables(stack, weights.signals)
        self._own, self._of_factors = (
            [
                (SIGNALS[signal][1], pair)
                for signal, pair in weights.signals.items()
                if SIGNALS[signal][0] == source
            ]
            for source in (OWN, FACTORS)
        )
        self._space = space

    def hear(self, person: Person, seen: Places) -> Heard:
        """Score every product for a person.

        Parameters
        ----------
        person : Person
        seen : ndarray of int64
            Products that are not ranked.
        """
        pairs = Pairs(person.as_histories(), num_products=len(self._trend))
        places = pairs.product
        heard = Heard(self._trend.copy(), places, self._heard_as)
        ranked = self._known.astype(np.float32)
        ranked[seen] = 0.0
        remembered = {
            memory: pairs.strengths(MEMORIES[memory], weight_exponent=self._choices.weight_exponent)
            for memory in {SIGNALS[signal][1] for signal in self._weights.signals}
        }
        for memory, pair in self._own:
            heard.scores[places] += _weighed(remembered[memory], ranked[places], pair)[0]
        if self._space is not None and self._of_factors:
            self._hear_factors(self._space, heard, remembered, ranked)
        said = self._tables.say(places, remembered, ranked)
        if said is not None:
            heard.scores += said.scores
            heard.note(said)
        self._score_unmet(heard.scores)
        if self._unmet_words is not None:
            strength = pairs.strengths(
                MEMORIES[HEARD_BY], weight_exponent=self._choices.weight_exponent
            )
            likeness = self._unmet_words.likeness(places, strength)
            unmet = heard.scores[None, self._has_kin]
            heard.scores[self._has_kin] = order_by_words(unmet, likeness[None])[0]
        return heard

    def _hear_factors(
        self,
        space: FactorSpace,
        heard: Heard,
        remembered: Mapping[str, FloatArray],
        ranked: FloatArray,
    ) -> None:
        folded = [space.fold_in(heard.places, remembered[memory]) for memory, _ in self._of_factors]
        scores = space.factors @ np.stack([part.factors for part in folded], axis=1)
        for part, score, (_, pair) in zip(folded, scores.T, self._of_factors, strict=True):
            added, voice = _weighed(np.ascontiguousarray(score), ranked, pair)
            heard.scores += added
            if voice > 0:
                heard.note_factors(part, voice, space.factors)

    def _nearest_kin(self) -> Places:
        """Return for each product the one that is spoken of: of one nobody met, the most alike."""
        nearest = np.arange(len(self._trend))
        which, product, share = self._kin_entries
        order = np.lexsort((product, -share, which))
        first = np.unique(which[order], return_index=True)[1]
        nearest[self._has_kin] = product[order][first]
        return nearest

    def _score_unmet(self, scores: FloatArray) -> None:
        """Score products that nobody met as those they are alike, in place."""
        which, product, share = self._kin_entries
        told = np.bincount(which, share * scores[product], len(self._has_kin))
        total = np.bincount(which, share, len(self._has_kin))
        scores[~self._known] = -np.inf
        scores[self._has_kin] = told / np.maximum(total, 1e-6)


def _weighed(
    scores: FloatArray, ranked: FloatArray, pair: tuple[float, float]
) -> tuple[FloatArray, np.float32]:
    """Return what a signal adds to some products, and how loud each of its parts is in that."""
    # What is not ranked counts as 0, which is what the best one is at least.
    best = max(float((scores * ranked).max(initial=0.0)), 0.0)
    loud = sum(pair) / best if best > 0 and sum(pair) > 0 else 0.0
    return weigh(scale(scores, np.array([best])), *pair), np.float32(loud)


class Heard:
    """Scores, and which product of the history speaks for which.

    Attributes
    ----------
    scores : ndarray of float32, shape (products,)
    places : ndarray of int64
        The products of the history, each once, ascending.
    heard_as : ndarray of int64, shape (products,)
        Who speaks for this product speaks for that of its place.
    """

    def __init__(self, scores: FloatArray, places: Places, heard_as: Places) -> None:
        self.scores = scores
        self.places = places
        self._heard_as = heard_as
        self._notes: list[Said] = []
        self._factor_notes: list[tuple[FoldedIn, np.float32, FloatArray]] = []

    def note(self, said: Said) -> None:
        """Remember what the tables said."""
        self._notes.append(said)

    def note_factors(self, folded: FoldedIn, loud: np.float32, factors: FloatArray) -> None:
        """Remember a person's factors, how loud they are, and those of the products."""
        self._factor_notes.append((folded, loud, factors))

    def loudest_for(self, chosen: Places) -> Places:
        """Return the product of the history that speaks loudest for each of some, -1 for none."""
        if len(self.places) == 0 or len(chosen) == 0:
            return np.full(len(chosen), -1, np.int64)
        spoken_for, asked = np.unique(self._heard_as[chosen], return_inverse=True)
        column = np.full(len(self.scores), -1, np.int64)
        column[spoken_for] = np.arange(len(spoken_for))
        voices = np.zeros((len(self.places), len(spoken_for)), np.float32)
        for said in self._notes:
            voices += said.voices_for(column, len(spoken_for), places=len(self.places))
        for folded, loud, factors in self._factor_notes:
            voices += loud * folded.voices_for(factors[spoken_for])
        loudest = self.places[voices.argmax(axis=0)]
        return np.where(voices.max(axis=0) > 0, loudest, -1)[asked]
