"""Split by time: learn from what came before the cut, ask for what came after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml.dataset import DAY_S, Interactions
from ml.splits.period import Period
from ml.splits.split import Split, in_order, keep_entries, make_split, met_matrix


@dataclass(frozen=True)
class TimeWindow(Period):
    """Ask people known before the cut for what they meet, or buy, in [cut, end).

    Parameters
    ----------
    cut, end, window_s : float
        See `ml.splits.period.Period`.
    exclude_seen : bool
        Ask for products new to the person only.
    goal : "met" or "bought"
        Which interactions of the window are asked for. Everything before the
        cut is learned from in either case.
    """

    exclude_seen: bool = True
    goal: Literal["met", "bought"] = "met"

    @property
    def name(self) -> str:
        """Say what is asked for."""
        what = "purchases" if self.goal == "bought" else "products"
        repeats = "" if self.exclude_seen else ", known ones among them"
        return f"later {what} of people known before{repeats}"

    def explain(self) -> str:
        """Say how the data is split."""
        return f"everything before the cut is learned from; asked for are {self.name}"

    def split(self, known: Interactions) -> Split:
        """Split at the cut; only what somebody met before it, with a weight above 0, is asked.

        The histories are those of the people who come in the period.
        """
        train = known.before(self.cut)
        asked = self._asked_of(known, self.goal)
        known_people = np.bincount(train.user, minlength=train.shape[0]) > 0
        asked_people = np.bincount(asked.user, minlength=train.shape[0]) > 0
        return make_split(
            self,
            train,
            in_order(train.take(asked_people[train.user])),
            keep_entries(met_matrix(asked), rows=known_people),
            cut=self.cut,
            end=self.end,
            exclude_seen=self.exclude_seen,
        )


def choose_window_days(
    interactions: Interactions,
    *,
    share: float = 0.2,
    shortest: float = 1 / 24,
    longest: float = 30.0,
) -> float:
    """Choose the length of the test window: a share of the time span, within bounds.

    The window before it, which tunes, is as long. So it is no whole day where the data spans
    a few days: too little would be left to learn from.
    """
    if len(interactions) == 0:
        return shortest
    span_days = float(interactions.time.max() - interactions.time.min()) / DAY_S
    return min(max(share * span_days, shortest), longest)


def last_cut(interactions: Interactions, window_days: float) -> float:
    """Return the time at which the last `window_days` of the data begin.

    Raises
    ------
    ValueError
        If there are no interactions or the window has no length.
    """
    if len(interactions) == 0:
        raise ValueError("no interactions to split")
    if not window_days > 0:
        raise ValueError(f"window_days must be > 0, got {window_days}")
    return float(interactions.time.max()) - window_days * DAY_S
