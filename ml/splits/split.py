"""A split: what may be learned from, what is known by then, and what is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from ml.dataset import Interactions

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Split:
    """What is known, and what is asked.

    A row of `history`, `seen` and `truth` is a question: a person, or a moment of a visit.

    Attributes
    ----------
    train : Interactions
        Everything that a model may learn from.
    history : Interactions
        What is known of each question when it is asked: `user` is its row, and `user_ids` name
        its person. Row by row in order of time, and moved so that each is asked at `cut`: ages
        count from there.
    seen : csr_array of bool, shape (questions, products)
        The products of that history.
    truth : csr_array of bool, shape (questions, products)
        The products asked for.
    people : ndarray of int32
        Rows of `truth` that hold something: the questions to ask.
    cut, end : float
        The test window [cut, end) in unix seconds.
    unknown_share : float
        Share of what would be asked for that is left out, because nobody had
        met the product in `train`.
    exclude_seen : bool
        Whether products of the history are neither asked for nor ranked.
    protocol : str
        What is asked, for people to read.
    rankable : ndarray of bool, shape (products,), optional
        Which products are ranked; None: those met in `train`.
    source : Protocol, optional
        What made the split: its `validation` splits `train` again.
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
    protocol: str = ""
    rankable: Mask | None = None
    source: Protocol | None = None

    @property
    def person(self) -> Rows:
        """Whose each of `people` is, in numbers from 0 without a gap, shape (questions asked,).

        Several questions may be one person's: moments of a visit, products of a basket.
        """
        names = np.array(self.history.user_ids, dtype=object)[self.people]
        return np.unique(names, return_inverse=True)[1].astype(np.int64)


class Protocol(Interface):
    """A way to ask. What tunes a model is split by `validation` from `Split.train` alone."""

    @property
    def name(self) -> str:
        """Say in a few words what is asked for."""

    def explain(self) -> str:
        """Say in a sentence how the data is split."""

    def split(self, known: Interactions) -> Split:
        """Split interactions into what is learned from and what is asked."""

    def validation(self) -> Protocol:
        """Return the protocol by which the training part is split again."""


def check_share(share: float) -> None:
    """Raise ValueError unless a share is neither nothing nor all."""
    if not 0 < share < 1:
        raise ValueError(f"share must be > 0 and < 1, got {share}")


def met_matrix(interactions: Interactions) -> Any:
    """Return who met what, csr_array of bool, shape (people, products)."""
    ones = np.ones(len(interactions), dtype=bool)
    places = (interactions.user, interactions.product)
    matrix = coo_array((ones, places), shape=interactions.shape).tocsr()
    matrix.data[:] = True
    return matrix


def known_products(train: Interactions) -> Mask:
    """Return which products somebody met with a weight above 0, shape (products,)."""
    known: Mask = np.zeros(train.shape[1], dtype=bool)
    known[train.product[train.weight > 0]] = True
    return known


def draw_people(split: Split, most: int, *, seed: int) -> Split:
    """Return the split with at most so many of its questions, drawn by the seed.

    Of the histories those of the questions drawn are kept.
    """
    if len(split.people) <= most:
        return split
    drawn = np.sort(np.random.default_rng(seed).choice(split.people, most, replace=False))
    is_drawn = np.zeros(split.truth.shape[0], dtype=bool)
    is_drawn[drawn] = True
    history = split.history.take(is_drawn[split.history.user])
    return replace(split, people=drawn, history=history)


def in_order(interactions: Interactions) -> Interactions:
    """Return them person by person in order of time; where times are equal, in that of the rows."""
    order = np.lexsort((interactions.row, interactions.time, interactions.user))
    return interactions.take(order)


def make_split(
    protocol: Protocol,
    train: Interactions,
    history: Interactions,
    asked: Any,
    *,
    cut: float,
    end: float,
    exclude_seen: bool,
    rankable: Mask | None = None,
) -> Split:
    """Leave out of what is asked for what cannot be answered, and report its share.

    Parameters
    ----------
    asked : csr_array of bool, shape (questions, products)
        What the questions would ask for.
    """
    seen = met_matrix(history)
    possible = known_products(train) if rankable is None else rankable
    truth = keep_entries(asked, columns=possible)
    unknown_share = 1.0 - truth.nnz / asked.nnz if asked.nnz else 0.0
    if exclude_seen:
        truth = truth > truth.multiply(seen)
    people = np.flatnonzero(np.diff(truth.indptr)).astype(np.int32)
    return Split(
        train,
        history,
        seen,
        truth,
        people,
        cut,
        end,
        unknown_share,
        exclude_seen,
        protocol.name,
        rankable,
        protocol,
    )


def keep_entries(matrix: Any, *, rows: Mask | None = None, columns: Mask | None = None) -> Any:
    """Return the matrix with the entries of some rows and columns only, in its shape."""
    entries = matrix.tocoo()
    row, column = entries.coords
    kept = np.ones(entries.nnz, dtype=bool)
    if rows is not None:
        kept &= rows[row]
    if columns is not None:
        kept &= columns[column]
    return coo_array((entries.data[kept], (row[kept], column[kept])), shape=matrix.shape).tocsr()


def lay_histories(
    story: Interactions,
    begin: Rows,
    stop: Rows,
    moment: npt.NDArray[np.float64],
    *,
    person: npt.NDArray[np.int32],
    cut: float,
) -> Interactions:
    """Give each question the rows [begin, stop) of a story, moved so that it is asked at `cut`.

    Parameters
    ----------
    story : Interactions
    begin, stop : ndarray, shape (questions,)
    moment : ndarray, shape (questions,)
        When each question is asked, in unix seconds.
    person : ndarray, shape (questions,)
        Who is asked, in numbers of `story.user_ids`.
    """
    lengths = stop - begin
    question = np.repeat(np.arange(len(begin)), lengths)
    step = np.arange(len(question)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    known = story.take(begin[question] + step)
    return replace(
        known,
        user_ids=[story.user_ids[number] for number in person.tolist()],
        user=question.astype(np.int32),
        time=known.time + (cut - moment)[question],
    )


def one_each(product: npt.NDArray[np.int32], num_products: int) -> Any:
    """Return a matrix in which row i holds product i alone."""
    shape = (len(product), num_products)
    ones = np.ones(len(product), dtype=bool)
    return coo_array((ones, (np.arange(len(product)), product)), shape=shape).tocsr()
