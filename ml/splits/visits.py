"""Split for shops whose people are met once: within a visit, ask for what came next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml.dataset import Interactions
from ml.splits.period import Period
from ml.splits.split import Rows, Split, known_products, lay_histories, make_split, one_each

VISIT_GAP_S = 1800.0


@dataclass(frozen=True)
class NextInVisit(Period):
    """Ask in each visit that begins in [cut, end) for each next product, given the visit so far.

    The person may be unknown before the cut.

    Parameters
    ----------
    cut, end, window_s : float
        See `ml.splits.period.Period`.
    gap_s : float
        So long a pause begins a new visit, where the data does not name visits.
    repeats : bool
        Ask for products met earlier in the visit too.
    most : int, optional
        Draw so many questions by `seed` where there are more.
    """

    gap_s: float = VISIT_GAP_S
    repeats: bool = False
    most: int | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """Say what is asked for."""
        return "next product within a visit" + (", known ones among them" if self.repeats else "")

    def explain(self) -> str:
        """Say how the data is split."""
        return f"everything before the cut is learned from; asked for is each {self.name}"

    def split(self, known: Interactions) -> Split:
        """Split at the cut; a product must have been met by somebody before it to be asked for."""
        train = known.before(self.cut)
        story, visit = order_visits(self._near_the_period(known), self.gap_s)
        first = np.searchsorted(visit, visit)
        asked = self._rows_asked(story, visit, first)
        asked, unknown_share = _answerable(asked, story, train)
        if self.most is not None and len(asked) > self.most:
            random = np.random.default_rng(self.seed)
            asked = np.sort(random.choice(asked, self.most, replace=False))
        history = lay_histories(
            story, first[asked], asked, story.time[asked], person=story.user[asked], cut=self.cut
        )
        split = make_split(
            self,
            train,
            history,
            one_each(story.product[asked], story.shape[1]),
            cut=self.cut,
            end=self.end,
            exclude_seen=not self.repeats,
        )
        return replace(split, unknown_share=unknown_share)

    def _near_the_period(self, known: Interactions) -> Interactions:
        """Return the visits that end in the period, or so much of them that they began before."""
        known = known.before(self.end)
        near = known.time >= self.cut - self.gap_s
        named = np.unique(known.visit[near])
        return known.take(near | np.isin(known.visit, named[named >= 0]))

    def _rows_asked(self, story: Interactions, visit: Rows, first: Rows) -> Rows:
        """Return the rows that are asked for: those of a visit behind its first product."""
        row = np.arange(len(story))
        asked = (row > first) & (story.time[first] >= self.cut) & (story.weight > 0)
        if not self.repeats:
            meeting = visit * story.shape[1] + story.product
            is_new = np.zeros(len(story), dtype=bool)
            is_new[np.unique(meeting, return_index=True)[1]] = True
            asked &= is_new
        return np.flatnonzero(asked)


def order_visits(interactions: Interactions, gap_s: float) -> tuple[Interactions, Rows]:
    """Return interactions visit by visit, in order of time, with the number of each one's visit.

    A visit is what one person did under one session id, or without one until a
    pause longer than `gap_s`.
    """
    story = interactions.take(
        np.lexsort((interactions.row, interactions.time, interactions.visit, interactions.user))
    )
    if len(story) == 0:
        return story, np.zeros(0, np.int64)
    begins = (np.diff(story.user) != 0) | (np.diff(story.visit) != 0)
    begins |= (story.visit[1:] < 0) & (np.diff(story.time) > gap_s)
    return story, np.concatenate(([0], np.cumsum(begins)))


def _answerable(asked: Rows, story: Interactions, train: Interactions) -> tuple[Rows, float]:
    answerable = asked[known_products(train)[story.product[asked]]]
    return answerable, 1.0 - len(answerable) / len(asked) if len(asked) else 0.0
