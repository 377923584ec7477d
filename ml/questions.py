"""Ask what goes with a product: of who meets it first, what else do they meet within a day?

A day stands for the basket or visit of the published protocols: it needs no session ids, and over
a window of weeks one product says little of the rest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.dataset import DAY_S, Interactions
from ml.split import Split, met_matrix

WITH_THE_FIRST = "other products that people met within a day"


def split_by_first_product(interactions: Interactions, cut: float, *, end: float = np.inf) -> Split:
    """Give the first product each person met in [cut, end), and ask for the others of that day.

    The day is the 24 hours from the first product on.

    The person and the product given may be unknown before the cut, as they
    may be on a product's page; what is asked for must have been met by
    somebody before it. Only positive weights count. Where the times are
    equal, the order of the rows says what came first.

    Parameters
    ----------
    interactions : Interactions
    cut, end : float
        Unix seconds.

    Returns
    -------
    Split
        What a person is known by, and must not be shown, is the product given
        alone: nobody is known by more than the page they look at.
    """
    if not cut < end:
        raise ValueError(f"cut must be < end, got {cut} and {end}")
    train = interactions.take(interactions.time < cut)
    in_window = (interactions.time >= cut) & (interactions.time < end) & (interactions.weight > 0)
    window = interactions.take(in_window)
    story = window.take(np.lexsort((window.row, window.time, window.user)))
    people, first = np.unique(story.user, return_index=True)
    given = np.full(story.shape[0], -1, np.int32)
    given[people] = story.product[first]

    day_end = np.full(story.shape[0], -np.inf)
    day_end[people] = story.time[first] + DAY_S
    others = story.take((story.product != given[story.user]) & (story.time < day_end[story.user]))
    known_product = np.bincount(train.product, minlength=train.shape[1]) > 0
    asked, truth = met_matrix(others), met_matrix(others.take(known_product[others.product]))
    unknown_share = 1.0 - truth.nnz / asked.nnz if asked.nnz else 0.0
    answerable = np.flatnonzero(np.diff(truth.indptr)).astype(np.int32)
    history = story.take(first)
    seen = met_matrix(history)
    return Split(
        train, history, seen, truth, answerable, cut, end, unknown_share, True, WITH_THE_FIRST
    )


def products_given(split: Split, people: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the product each of the people is asked about, shape (people,)."""
    given: npt.NDArray[np.int32] = split.seen[people].indices
    return given
