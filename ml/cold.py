"""Products that nobody met: they score as the known products that they are most alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ml.ranking import blocks, top_k

#: So many known products speak for one that nobody met.
NUM_KIN = 20


def find_kin(features: Any, known: npt.NDArray[np.bool_]) -> Any:
    """Return for each product that nobody met the weights of the known ones most alike.

    A weight is the squared cosine of their words, as a share of all of the row.

    Parameters
    ----------
    features : csr_array, shape (products, words)
        From `ml.estimators.words.word_features`.
    known : ndarray of bool, shape (products,)

    Returns
    -------
    csr_array of float32, shape (products, products)
        Rows of known products, and of those without a word in common with one, are empty.
    """
    num_products = len(known)
    cold, warm = np.flatnonzero(~known), np.flatnonzero(known)
    rows: list[npt.NDArray[Any]] = [np.zeros(0, np.int64)]
    columns: list[npt.NDArray[Any]] = [np.zeros(0, np.int64)]
    weights: list[npt.NDArray[Any]] = [np.zeros(0, np.float32)]
    by_word = features[warm].T.tocsr() if len(warm) else None
    for part in blocks(len(cold), len(warm)) if by_word is not None else []:
        cosine = (features[cold[part]] @ by_word).toarray()
        cosine[cosine <= 0] = -np.inf
        index, score = top_k(cosine, NUM_KIN)
        row, place = np.nonzero(index >= 0)
        share = score**2 / np.maximum((score**2).sum(axis=1, keepdims=True), 1e-12)
        rows.append(cold[part][row])
        columns.append(warm[index[row, place]])
        weights.append(share[row, place])
    entries = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(weights), entries), shape=(num_products, num_products))
