"""The question a model is judged by: what suits the people of this shop."""

from __future__ import annotations

from ml.dataset import Interactions
from ml.questions import split_by_first_product
from ml.split import RETURNING, Split, draw_people, split_by_time
from ml.visits import WITHIN_VISIT, split_visits

FEWEST_RETURNING = 30
MOST_JUDGED = 5000
REPEATS_FROM = 0.2


def choose_split(
    interactions: Interactions, cut: float, *, exclude_seen: bool = True, seed: int = 0
) -> Split:
    """Split at `cut` by the protocol that has people to judge by.

    That is what known people met later; where fewer than 30 known people
    came back, and more people can be asked so, the next product within a visit.

    Parameters
    ----------
    interactions : Interactions
    cut : float
        Unix seconds.
    exclude_seen : bool
        For returning people, see `ml.split.split_by_time`.
    seed : int
        Draws 5,000 people where there are more.
    """
    split = split_by_time(interactions, cut, exclude_seen=exclude_seen)
    if len(split.people) < FEWEST_RETURNING:
        visits = split_visits(interactions, cut)
        if len(visits.people) > len(split.people):
            split = visits
    return draw_people(split, MOST_JUDGED, seed=seed)


def choose_questions(interactions: Interactions, cut: float, *, seed: int = 0) -> Split:
    """Ask at `cut` what goes with a product; the seed draws 5,000 questions where there are more.

    There is one question per person, so that a crawler counts no more than anybody else.
    """
    return draw_people(split_by_first_product(interactions, cut), MOST_JUDGED, seed=seed)


def buys_again(interactions: Interactions, *, cut: float, window_s: float) -> bool:
    """Tell whether people of this shop come back to the same products.

    They do where a fifth or more of what known people met in the window
    before `cut` was something they had met before it. Such a shop's lists are
    judged, and served, with what a person knows already among the rest.

    Parameters
    ----------
    interactions : Interactions
        Those at or after `cut` are not looked at.
    cut : float
        Unix seconds: the beginning of the test window.
    window_s : float
        Length of the window looked at.
    """
    split = split_by_time(interactions, cut - window_s, end=cut, exclude_seen=False)
    met = split.truth.nnz
    return bool(met) and split.truth.multiply(split.seen).nnz / met >= REPEATS_FROM


def split_as(
    protocol: str, interactions: Interactions, cut: float, *, end: float, exclude_seen: bool
) -> Split:
    """Split another window by a protocol that was chosen before."""
    if protocol == WITHIN_VISIT:
        return split_visits(interactions, cut, end=end)
    return split_by_time(interactions, cut, end=end, exclude_seen=exclude_seen)


def explain(split: Split) -> str:
    """Say in plain words by what models were judged."""
    judged = f"judged by the {split.protocol}"
    if split.protocol == RETURNING and not split.exclude_seen:
        return f"{judged}, known ones among them"
    if split.protocol == WITHIN_VISIT:
        return f"{judged}, since fewer than {FEWEST_RETURNING} known people came back"
    return judged
