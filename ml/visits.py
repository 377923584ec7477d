"""Split for shops whose people are met once: within a visit, ask for what came next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.dataset import Interactions
from ml.split import Split, met_matrix

WITHIN_VISIT = "next product within a visit"


def split_visits(interactions: Interactions, cut: float, *, end: float = np.inf) -> Split:
    """Ask each person of [cut, end) for the last product they met for the first time.

    The person may be unknown before the cut, but must have met another
    product in the window by then. Everything they did before is their
    history; models are still fitted on what came before the cut. What is
    asked for is new to the person by its nature, so what was seen is excluded.

    The truth must have a positive weight. Where the times are equal, the
    order of the rows says what came first.

    Parameters
    ----------
    interactions : Interactions
    cut, end : float
        Unix seconds.

    Returns
    -------
    Split
        Its history lies person by person, and is moved in time so that each
        person is asked at the cut: an age is that at the moment of the truth.
    """
    if not cut < end:
        raise ValueError(f"cut must be < end, got {cut} and {end}")
    train = interactions.take(interactions.time < cut)
    known = interactions.take(interactions.time < end)
    story = known.take(np.lexsort((known.row, known.time, known.user)))
    asked = _last_new_product(story, cut)
    history = _history(story, asked, cut)

    known_product = np.bincount(train.product, minlength=train.shape[1]) > 0
    answerable = story.take(asked[known_product[story.product[asked]]])
    truth = met_matrix(answerable)
    people = np.flatnonzero(np.diff(truth.indptr)).astype(np.int32)
    unknown_share = 1.0 - len(answerable) / len(asked) if len(asked) else 0.0
    seen = met_matrix(history)
    return Split(train, history, seen, truth, people, cut, end, unknown_share, True, WITHIN_VISIT)


def _last_new_product(story: Interactions, cut: float) -> npt.NDArray[Any]:
    """Return the row of the truth of each person who has one.

    Parameters
    ----------
    story : Interactions
        Person by person, in order.
    """
    pair = story.user.astype(np.int64) * story.shape[1] + story.product
    _, first_meetings = np.unique(pair, return_index=True)
    rows = np.sort(first_meetings)
    in_window = story.time >= cut
    rows = rows[in_window[rows] & (story.weight[rows] > 0)]
    if len(rows) == 0:
        return rows
    is_last = np.append(np.diff(story.user[rows]) != 0, True)
    rows = rows[is_last]
    # Of one person the rows are in order of time: the one before lies in the window or none does.
    before = np.maximum(rows - 1, 0)
    begun = (rows > 0) & (story.user[before] == story.user[rows]) & in_window[before]
    return rows[begun]


def _history(story: Interactions, asked: npt.NDArray[Any], cut: float) -> Interactions:
    """Return what came before the row asked for, of those who are asked."""
    limit = np.full(story.shape[0], -1)
    limit[story.user[asked]] = asked
    moment = np.zeros(story.shape[0])
    moment[story.user[asked]] = story.time[asked]
    history = story.take(np.arange(len(story)) < limit[story.user])
    return replace(history, time=history.time + (cut - moment[history.user]))
