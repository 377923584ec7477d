"""What each list of a shop is judged by: the questions that its data can answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml.dataset import Interactions
from ml.parts import AGAIN, NEW, SESSION, SIMILAR
from ml.splits import NextInVisit, Protocol, SimilarProducts, Split, TimeWindow, draw_people
from ml.splits.choose import buys_again
from ml.splits.visits import VISIT_GAP_S, order_visits

DAY_S = 86_400.0
#: With fewer questions a list is not judged, unless it is the only one.
FEWEST_ASKED = 30
MOST_ASKED = 5000
#: Purchases are asked for where so many people bought something in the window.
FEWEST_BUYERS = 300


@dataclass(frozen=True, eq=False)
class Question:
    """One list and how it is judged.

    Attributes
    ----------
    name : str
        See `ml.parts`.
    test : Split
        Never seen by tuning.
    """

    name: str
    test: Split

    def validation(self) -> Split:
        """Return the questions to tune and learn by, made of what the test may learn from."""
        assert self.test.source is not None
        return self.test.source.validation().split(self.test.train)


def choose_questions(known: Interactions, *, window_s: float, seed: int) -> list[Question]:
    """Return the lists that can be judged on the last `window_s` of the data.

    Lists for known people where 30 of them came back; "again" too where they
    come back to the same products; the next product within a visit where visits
    have an order; products that go with one product. Where there is none of
    these, what comes nearest is asked of however few people there are.

    Parameters
    ----------
    known : Interactions
    window_s : float
        Seconds; the window before it, of the same length, tunes.
    seed : int
        Draws 5,000 questions where there are more.
    """
    cut = float(known.time.max()) - window_s
    goal = _choose_goal(known, cut, window_s)
    new = TimeWindow(cut, exclude_seen=True, goal=goal, window_s=window_s)
    protocols: dict[str, Protocol] = {NEW: new}
    if buys_again(known, cut=cut, window_s=window_s):
        protocols[AGAIN] = TimeWindow(cut, exclude_seen=False, goal=goal, window_s=window_s)
    if have_order(known.before(cut)):
        protocols[SESSION] = NextInVisit(cut, window_s=window_s, most=MOST_ASKED, seed=seed)
    protocols[SIMILAR] = SimilarProducts(cut, window_s=window_s, most=MOST_ASKED, seed=seed)
    asked = [
        Question(name, draw_people(protocol.split(known), MOST_ASKED, seed=seed))
        for name, protocol in protocols.items()
    ]
    enough = [question for question in asked if len(question.test.people) >= FEWEST_ASKED]
    some = [question for question in asked if len(question.test.people)]
    return enough or some


def have_order(known: Interactions) -> bool:
    """Tell whether products of a visit were met one after the other, and not all in one order."""
    story, visit = order_visits(known, VISIT_GAP_S)
    same = np.diff(visit) == 0
    another = np.diff(story.product) != 0
    steps = int((same & another).sum())
    return steps > 0 and float((np.diff(story.time)[same & another] > 0).mean()) >= 0.5


def _choose_goal(known: Interactions, cut: float, window_s: float) -> Literal["met", "bought"]:
    """Ask for purchases where enough people bought in the window before the one that judges."""
    before = TimeWindow(cut - window_s, cut, exclude_seen=True, goal="bought", window_s=window_s)
    if not known.bought.any() or known.bought.all():
        return "met"
    buyers = len(before.split(known).people)
    return "bought" if buyers >= FEWEST_BUYERS else "met"
