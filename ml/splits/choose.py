"""The protocol for data of which nobody says how it is to be split."""

from __future__ import annotations

from ml.dataset import DAY_S, Interactions
from ml.splits.split import Protocol
from ml.splits.visits import NextInVisit
from ml.splits.window import TimeWindow, choose_window_days, last_cut

FEWEST_RETURNING = 30
REPEATS_FROM = 0.2


def choose_protocol(
    interactions: Interactions,
    *,
    exclude_seen: bool | None = None,
    most: int | None = None,
    seed: int = 0,
) -> Protocol:
    """Choose by the data: later products of known people, or the next product within a visit.

    The test window is the last 20 % of the time span, an hour to 30 days. Visits are
    asked about where fewer than 30 known people came back in it, and visits
    give more questions.

    Parameters
    ----------
    interactions : Interactions
    exclude_seen : bool, optional
        Ask known people for products new to them only. By default the window
        before the test window decides, see `buys_again`.
    most, seed : int
        How many questions of visits are drawn, and by which seed.
    """
    days = choose_window_days(interactions)
    window_s = days * DAY_S
    cut = last_cut(interactions, days)
    if exclude_seen is None:
        exclude_seen = not buys_again(interactions, cut=cut, window_s=window_s)
    returning = TimeWindow(cut, exclude_seen=exclude_seen, window_s=window_s)
    num_returning = len(returning.split(interactions).people)
    if num_returning >= FEWEST_RETURNING:
        return returning
    visits = NextInVisit(cut, window_s=window_s, most=most, seed=seed)
    return visits if len(visits.split(interactions).people) > num_returning else returning


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
    split = TimeWindow(cut - window_s, cut, exclude_seen=False).split(interactions)
    met = split.truth.nnz
    return bool(met) and split.truth.multiply(split.seen).nnz / met >= REPEATS_FROM
