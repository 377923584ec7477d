"""Ask what goes with a product: of a basket one product is given, the others are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from ml.dataset import DAY_S, Interactions
from ml.splits.period import Period
from ml.splits.split import Rows, Split, known_products, lay_histories, make_split


@dataclass(frozen=True)
class SimilarProducts(Period):
    """Give one product of a basket of [cut, end), and ask for the others.

    A basket is what one person did under one session id, or without one within
    a day (UTC). The person and the product given may be unknown before the
    cut, as they may be on a product's page.

    Parameters
    ----------
    cut, end, window_s : float
        See `ml.splits.period.Period`.
    goal : "met" or "bought"
        What a basket is made of.
    most : int
        Draw so many questions by `seed` where there are more.
    each : int
        Ask no more than so many of one basket, so that a large one counts no more than others.
    """

    goal: str = "met"
    most: int = 6000
    each: int = 3
    seed: int = 0

    @property
    def name(self) -> str:
        """Say what is asked for."""
        return "other products of a basket of which one is given"

    def explain(self) -> str:
        """Say how the data is split."""
        return f"everything before the cut is learned from; asked for are {self.name}"

    def split(self, known: Interactions) -> Split:
        """Split at the cut. What is known of a question is the product given, and nothing else."""
        train = known.before(self.cut)
        story, basket = _order_baskets(self._asked_of(known, self.goal))
        given, other = self._pairs(story, basket, known_products(train))
        given, question = np.unique(given, return_inverse=True)
        shape = (len(given), story.shape[1])
        ones = np.ones(len(other), dtype=bool)
        asked = coo_array((ones, (question, story.product[other])), shape=shape).tocsr()
        history = lay_histories(
            story, given, given + 1, story.time[given], person=story.user[given], cut=self.cut
        )
        return make_split(
            self, train, history, asked, cut=self.cut, end=self.end, exclude_seen=True
        )

    def _pairs(
        self, story: Interactions, basket: Rows, known: npt.NDArray[np.bool_]
    ) -> tuple[Rows, Rows]:
        """Return rows of the products given, each with every other row of its basket."""
        size = np.bincount(basket)[basket] if len(basket) else basket
        num_known = np.bincount(basket, weights=known[story.product])[basket]
        # Of the others at least one must be known.
        possible = np.flatnonzero(num_known - known[story.product] > 0)
        random = np.random.default_rng(self.seed)
        possible = _draw_each(possible, basket, self.each, random)
        if len(possible) > self.most:
            possible = np.sort(random.choice(possible, self.most, replace=False))
        first = np.searchsorted(basket, basket[possible])
        given = np.repeat(possible, size[possible])
        step = np.arange(len(given)) - np.searchsorted(given, given)
        other = np.repeat(first, size[possible]) + step
        return given[other != given], other[other != given]


def products_given(split: Split, people: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the product that each of the questions gives, shape (people,)."""
    given: npt.NDArray[np.int32] = split.seen[people].indices
    return given


def _order_baskets(interactions: Interactions) -> tuple[Interactions, Rows]:
    """Return each product of each basket once, basket by basket, and the number of the basket."""
    day = np.where(interactions.visit < 0, interactions.time // DAY_S, 0)
    order = np.lexsort(
        (interactions.time, interactions.product, day, interactions.visit, interactions.user)
    )
    story, day = interactions.take(order), day[order]
    if len(story) == 0:
        return story, np.zeros(0, np.int64)
    begins = (np.diff(story.user) != 0) | (np.diff(story.visit) != 0) | (np.diff(day) != 0)
    basket = np.concatenate(([0], np.cumsum(begins)))
    is_new = np.append(True, (np.diff(basket) != 0) | (np.diff(story.product) != 0))
    return story.take(is_new), basket[is_new]


def _draw_each(rows: Rows, basket: Rows, each: int, random: np.random.Generator) -> Rows:
    order = np.lexsort((random.random(len(rows)), basket[rows]))
    drawn = rows[order]
    rank = np.arange(len(drawn)) - np.searchsorted(basket[drawn], basket[drawn])
    return np.sort(drawn[rank < each])
