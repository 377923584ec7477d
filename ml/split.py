"""Split by time: learn from what came before the cut, ask for what came after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from ml.dataset import DAY_S, Interactions

RETURNING = "later products of people known before"


@dataclass(frozen=True, eq=False)
class Split:
    """What is known before the cut, and what is asked for after it.

    Attributes
    ----------
    train : Interactions
        Everything before the cut: what models are fitted on.
    history : Interactions
        What each person is known by when asked; ages count from the cut.
    seen : csr_array of bool, shape (people, products)
        The products of that history.
    truth : csr_array of bool, shape (people, products)
        The products asked for.
    people : ndarray of int32
        Rows of `truth` that hold something: the test people.
    cut, end : float
        The test window [cut, end) in unix seconds.
    unknown_share : float
        Share of the test people's products left out of the truth because
        nobody had met them before the cut.
    exclude_seen : bool
        Whether the truth leaves out what the person had met before.
    protocol : str
        What is asked, for people to read.
    """

    train: Interactions
    history: Interactions
    seen: Any
    truth: Any
    people: npt.NDArray[np.int32]
    cut: float
    end: float
    unknown_share: float
    exclude_seen: bool
    protocol: str = RETURNING


def choose_window_days(
    interactions: Interactions, *, share: float = 0.2, shortest: float = 1.0, longest: float = 30.0
) -> float:
    """Choose the length of the test window: a share of the time span, within bounds."""
    if len(interactions) == 0:
        return shortest
    span_days = float(interactions.time.max() - interactions.time.min()) / DAY_S
    return min(max(share * span_days, shortest), longest)


def split_by_time(
    interactions: Interactions, cut: float, *, end: float = np.inf, exclude_seen: bool = True
) -> Split:
    """Split at `cut`; interactions at or after `end` are in neither part.

    The truth of a person who is known before the cut is each product met with
    a positive weight in [cut, end) that somebody had met before the cut.

    Parameters
    ----------
    interactions : Interactions
    cut, end : float
        Unix seconds.
    exclude_seen : bool
        Ask for products new to the person only.
    """
    if not cut < end:
        raise ValueError(f"cut must be < end, got {cut} and {end}")
    train = interactions.take(interactions.time < cut)
    in_window = (interactions.time >= cut) & (interactions.time < end) & (interactions.weight > 0)
    seen, asked = met_matrix(train), met_matrix(interactions.take(in_window))

    known_person = np.diff(seen.indptr) > 0
    asked = _keep(asked, row=known_person)
    known_product = np.bincount(train.product, minlength=train.shape[1]) > 0
    truth = _keep(asked, column=known_product)
    unknown_share = 1.0 - truth.nnz / asked.nnz if asked.nnz else 0.0
    if exclude_seen:
        truth = truth > truth.multiply(seen)
    people = np.flatnonzero(np.diff(truth.indptr)).astype(np.int32)
    return Split(train, train, seen, truth, people, cut, end, unknown_share, exclude_seen)


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


def draw_people(split: Split, most: int, *, seed: int) -> Split:
    """Return the split with at most so many of its people, drawn by the seed."""
    if len(split.people) <= most:
        return split
    drawn = np.random.default_rng(seed).choice(split.people, most, replace=False)
    return replace(split, people=np.sort(drawn))


def met_matrix(interactions: Interactions) -> Any:
    """Return who met what, csr_array of bool, shape (people, products)."""
    ones = np.ones(len(interactions), dtype=bool)
    places = (interactions.user, interactions.product)
    matrix = coo_array((ones, places), shape=interactions.shape).tocsr()
    matrix.data[:] = True
    return matrix


def _keep(
    matrix: Any,
    *,
    row: npt.NDArray[np.bool_] | None = None,
    column: npt.NDArray[np.bool_] | None = None,
) -> Any:
    kept = matrix.tocoo()
    mask = np.ones(kept.nnz, dtype=bool)
    if row is not None:
        mask &= row[kept.coords[0]]
    if column is not None:
        mask &= column[kept.coords[1]]
    places = (kept.coords[0][mask], kept.coords[1][mask])
    return coo_array((kept.data[mask], places), shape=matrix.shape).tocsr()
