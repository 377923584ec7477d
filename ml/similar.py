"""The order in which serving names products like one product, for many products at once.

`ml.serving` does it for one; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ml.mixing import scale_rows
from ml.ranking import FloatTable, IntTable


def rank_similar(
    given: npt.NDArray[np.int32],
    tables: Sequence[IntTable],
    popularity: npt.NDArray[np.float32] | None = None,
) -> FloatTable:
    """Return scores that put products in the order of `ml.serving.Model.similar`.

    The neighbours of the first table come first, in its order, then those of
    the next, then what is popular. -inf: not in the list at all.

    Parameters
    ----------
    given : ndarray of int32, shape (questions,)
        Rows of the tables.
    tables : sequence of ndarray of int32, each of shape (products, neighbours)
        Best first, -1 where there is none.
    popularity : ndarray of float32, shape (products,), optional
        None: neighbours alone.

    Returns
    -------
    ndarray of float32, shape (questions, products)
        Places counted from the end, all above the popularity scaled to 1.
    """
    scores = np.full((len(given), len(tables[0])), -np.inf, np.float32)
    if popularity is not None:
        scores[:] = np.where(popularity > 0, scale_rows(popularity), -np.inf)
    end = 1
    for table in reversed(tables):
        neighbours = table[given]
        end += neighbours.shape[1]
        row, place = np.nonzero(neighbours >= 0)
        # An earlier table is written later, since its word counts.
        scores[row, neighbours[row, place]] = end - place
    return scores
