"""The order of products that nobody met, told by their words. numpy only: the web process uses it.

Kin say where such products stand among all others (`ml.cold`). Where words alone decide what
people like, which of them stands where is told better by the words of what a person met.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml.layout import Arrays
from ml.rows import SparseRows, place_type

FloatArray = npt.NDArray[np.floating]

KIN, WORDS = "kin", "words"
#: See `ml.recipe.Choices.unmet_order`.
ORDERS = (KIN, WORDS)
#: How a history is remembered whose words are compared.
HEARD_BY = "months"
# Sums in another order differ by less; what differs by less is as like.
DECIMALS = 4


def order_by_words(scores: FloatArray, likeness: FloatArray) -> FloatArray:
    """Return the scores of each row, the largest for the product that is most like the history.

    So as many of them stand as high as before. Products that are as like stay in the order of
    their scores.

    Parameters
    ----------
    scores : ndarray, shape (people, products)
    likeness : ndarray, same shape
        At least 0, see `UnmetWords`.
    """
    best = likeness.max(axis=1, keepdims=True, initial=0.0)
    shares = np.round(likeness / np.where(best > 0, best, 1.0), DECIMALS)
    ordered = np.empty_like(scores)
    best_first = np.lexsort((-scores, -shares), axis=1)
    np.put_along_axis(ordered, best_first, -np.sort(-scores, axis=1), axis=1)
    return ordered


class UnmetWords:
    """The words of an artefact: how like the words of a history some products are.

    Parameters
    ----------
    arrays : dict of str to ndarray
        See `ml.layout.SCHEMA`.
    unmet : ndarray of int64, shape (k,)
        Places of the products.
    """

    def __init__(self, arrays: Arrays, unmet: npt.NDArray[np.int64]) -> None:
        self._rows = SparseRows(
            arrays["features_starts"], arrays["features_words"], arrays["features_values"]
        )
        self._num_unmet = len(unmet)
        self._num_words = int(self._rows.products.max(initial=0)) + 1
        self._of_unmet = self._rows.gather(unmet)

    def likeness(self, places: npt.NDArray[np.int64], strength: FloatArray) -> FloatArray:
        """Return Σ over the history of strength times the cosine of the words, shape (k,)."""
        which, word, value = self._rows.gather(places)
        met = np.bincount(word, strength[which] * value, self._num_words)
        which, word, value = self._of_unmet
        likeness = np.bincount(which, met[word] * value, self._num_unmet)
        return likeness.astype(np.float32)


def pack_words(features: Any, unmet: npt.NDArray[np.bool_]) -> Arrays:
    """Return the arrays of the words that some of these products have.

    Parameters
    ----------
    features : csr_array of float32, shape (products, words)
        See `ml.estimators.words.word_features`.
    unmet : ndarray of bool, shape (products,)
    """
    heard = np.flatnonzero(np.bincount(features[unmet].indices, minlength=features.shape[1]))
    kept = features[:, heard]
    return {
        "features_starts": kept.indptr.astype(np.int64),
        "features_words": kept.indices.astype(place_type(len(heard))),
        "features_values": kept.data.astype(np.float16),
    }
