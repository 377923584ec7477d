"""Leave the last product of each person out and ask for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.dataset import Interactions
from ml.splits.split import Split, in_order, lay_histories, make_split, met_matrix


@dataclass(frozen=True)
class LastOut:
    """Ask each person for the last product they met, given what came before it.

    Everything but those last products is learned from, whenever it happened:
    as the published figures have it, not as time has it.

    Parameters
    ----------
    keep_fewest : int
        People of whom no more than so many interactions would be left are not asked.
    """

    keep_fewest: int = 1

    @property
    def name(self) -> str:
        """Say what is asked for."""
        return "last product of each person"

    def explain(self) -> str:
        """Say how the data is split."""
        return f"everything is learned from but the {self.name}, which is asked for"

    def split(self, known: Interactions) -> Split:
        """Split off the last interaction of each person whose weight is above 0.

        Where times are equal the order of the rows tells. Products met before
        are known, whatever their weight, and not asked for again.
        """
        story = in_order(known)
        wanted = np.flatnonzero(story.weight > 0)
        last = np.full(story.shape[0], -1)
        last[story.user[wanted]] = wanted
        first = np.searchsorted(story.user, np.arange(story.shape[0]))
        last[last - first < self.keep_fewest] = -1
        asked = last[last >= 0]

        train = known.take(~np.isin(known.row, story.row[asked]))
        cut = float(train.time.max()) if len(train) else 0.0
        moment = np.full(story.shape[0], cut)
        moment[story.user[asked]] = story.time[asked]
        history = lay_histories(
            story,
            first,
            np.maximum(last, first),
            moment,
            person=np.arange(story.shape[0], dtype=np.int32),
            cut=cut,
        )
        truth = met_matrix(story.take(asked))
        return make_split(self, train, history, truth, cut=cut, end=cut, exclude_seen=True)

    def validation(self) -> LastOut:
        """Return the same again: the last product of what is left."""
        return self
