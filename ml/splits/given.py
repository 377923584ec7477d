"""Questions that come with the data: what was met, and what was met next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.dataset import Interactions
from ml.splits.split import Protocol, Split, make_split, one_each
from ml.splits.visits import NextInVisit

STEP_S = 30.0


@dataclass(frozen=True, eq=False)
class GivenQuestions:
    """Ask the questions of a file, whose products may be met again.

    Parameters
    ----------
    prefix : ndarray of int32, shape (n,)
        The products that are given, question by question, in order of time.
    question : ndarray of int32, shape (n,)
        The question of each of them, rising.
    target : ndarray of int32, shape (questions,)
        The product asked for.
    cut : float
        Unix seconds: when the questions are asked. What is learned from lies before.
    window_s : float
        The visits of so long a time before the cut tune.
    step_s : float
        Between two products of a prefix, since a file has no times of them.
    """

    prefix: npt.NDArray[np.int32]
    question: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    cut: float
    window_s: float
    step_s: float = STEP_S

    @property
    def name(self) -> str:
        """Say what is asked for."""
        return "next product of the questions given"

    def explain(self) -> str:
        """Say how the data is split."""
        return f"everything before the cut is learned from; asked for is the {self.name}"

    def split(self, known: Interactions) -> Split:
        """Learn from what came before the cut; products nobody met then are not asked for."""
        train = known.before(self.cut)
        asked = one_each(self.target, known.shape[1])
        return make_split(
            self,
            train,
            self._histories(known),
            asked,
            cut=self.cut,
            end=self.cut,
            exclude_seen=False,
        )

    def validation(self) -> Protocol:
        """Return the last visits of what is learned from, repeats among them."""
        return NextInVisit(self.cut - self.window_s, self.cut, repeats=True, window_s=self.window_s)

    def _histories(self, known: Interactions) -> Interactions:
        num = len(self.prefix)
        stop = np.searchsorted(self.question, self.question, side="right")
        return Interactions(
            user_ids=[f"question {number}" for number in range(len(self.target))],
            product_ids=known.product_ids,
            user=self.question,
            product=self.prefix,
            weight=np.ones(num, np.float32),
            time=np.asarray(self.cut - (stop - np.arange(num)) * self.step_s, np.float64),
            row=np.arange(num),
            bought=np.zeros(num, bool),
            visit=self.question.astype(np.int64),
        )
