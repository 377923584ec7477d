"""Sparse rows of an artefact: for each product some others with a score. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ml.layout import Arrays


class Row(NamedTuple):
    """One row, as plain lists, and where it lies among the entries."""

    places: list[int]
    scores: list[float]
    span: slice


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Rows of places and scores, as three arrays.

    Attributes
    ----------
    starts : ndarray of int64, shape (rows + 1,)
    products : ndarray of unsigned or signed integers, shape (entries,)
    scores : ndarray of float16, shape (entries,)
    """

    starts: npt.NDArray[np.int64]
    products: npt.NDArray[Any]
    scores: npt.NDArray[np.float16]

    @classmethod
    def of(cls, arrays: Arrays, name: str) -> Self:
        """Take the rows of that name out of an artefact."""
        return cls(arrays[f"{name}_starts"], arrays[f"{name}_products"], arrays[f"{name}_scores"])

    def row(self, place: int) -> Row:
        """Return one row."""
        span = slice(int(self.starts[place]), int(self.starts[place + 1]))
        return Row(self.products[span].tolist(), self.scores[span].tolist(), span)

    def lengths(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return how many entries each of some rows has."""
        return self.starts[places + 1] - self.starts[places]

    def gather(
        self, places: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the entries of some rows: which of the rows, product, score."""
        begin, lengths = self.starts[places], self.lengths(places)
        which = np.repeat(np.arange(len(places)), lengths)
        # Where a row's entries lie, less where they come to lie.
        shift = begin - (np.cumsum(lengths) - lengths)
        entry = np.arange(len(which)) + np.repeat(shift, lengths)
        return which, self.products[entry].astype(np.int64), self.scores[entry].astype(np.float32)


def pack_rows(name: str, index: npt.NDArray[Any], score: npt.NDArray[Any]) -> Arrays:
    """Return the arrays of rows from a table; -1 in the index is no entry.

    Scores are stored as shares of the largest: only their proportions count.

    Parameters
    ----------
    name : str
    index, score : ndarray, shape (products, k)
    """
    kept = index >= 0
    starts = np.concatenate(([0], np.cumsum(kept.sum(axis=1)))).astype(np.int64)
    largest = np.abs(score[kept]).max(initial=0.0)
    shares = score[kept] / (largest if largest > 0 else 1.0)
    return {
        f"{name}_starts": starts,
        f"{name}_products": index[kept].astype(place_type(len(index))),
        f"{name}_scores": shares.astype(np.float16),
    }


def place_type(num_products: int) -> type[np.uint16] | type[np.int32]:
    """Return the smallest type of `ml.layout.PLACES` for places of so many products."""
    return np.uint16 if num_products <= np.iinfo(np.uint16).max else np.int32
