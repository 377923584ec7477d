"""The matrix that the estimators learn from: people by products, sparse, nothing negative."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse
from sklearn.utils.validation import validate_data

from ml.ranking import blocks


def check_strengths(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Return strengths as float32 after the checks that every estimator makes.

    Parameters
    ----------
    estimator : BaseEstimator
        The one that asks; with `reset` it learns the number of products and their names.
    X : array-like or sparse, shape (people, products)
    reset : bool
        True in `fit`.

    Returns
    -------
    csr_array of float32, shape (people, products)
        Without stored zeros; its indices are in order. Not a view of a sparse `X`
        where something had to be put right.

    Raises
    ------
    ValueError
        If a value is negative or not finite, or the shape does not fit.
    """
    X = validate_data(estimator, X, reset=reset, accept_sparse="csr", dtype=np.float32)
    strengths = csr_array(X) if issparse(X) else csr_array(np.asarray(X))
    if not strengths.has_canonical_format or (strengths.data == 0).any():
        strengths = strengths.copy()
        strengths.sum_duplicates()
        strengths.eliminate_zeros()
    lowest = strengths.data.min(initial=0.0)
    if lowest < 0:
        raise ValueError(f"Negative values in data: strengths must be >= 0, got {lowest}")
    return strengths


def strengths_tags(tags: Any) -> Any:
    """Say, in the tags of an estimator, what `check_strengths` takes and that float32 comes out."""
    tags.input_tags.sparse = True
    tags.input_tags.positive_only = True
    tags.transformer_tags.preserves_dtype = ["float32"]
    return tags


def keep_strongest(strengths: Any, max_per_person: int) -> Any:
    """Keep at most so many of the largest strengths of each person."""
    counts = np.diff(strengths.indptr)
    if counts.max(initial=0) <= max_per_person:
        return strengths
    person = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((strengths.indices, -strengths.data, person))
    rank = np.arange(len(order)) - np.repeat(strengths.indptr[:-1], counts)
    kept = order[rank < max_per_person]
    return csr_array(
        (strengths.data[kept], (person[kept], strengths.indices[kept])), shape=strengths.shape
    )


def gram_matrix(strengths: Any) -> npt.NDArray[np.float32]:
    """Return XᵀX, dense and in C order, made in blocks so that nothing else of its size exists.

    Parameters
    ----------
    strengths : csr_array, shape (people, products)

    Returns
    -------
    ndarray of float32, shape (products, products)
    """
    num_products = strengths.shape[1]
    gram = np.empty((num_products, num_products), dtype=np.float32)
    by_product = strengths.T.tocsr()
    for rows in blocks(num_products, num_products):
        gram[rows] = (by_product[rows] @ strengths).toarray()
    return gram


def count_people(strengths: Any) -> npt.NDArray[np.int64]:
    """Return the number of people who met each product."""
    return np.bincount(strengths.indices, minlength=strengths.shape[1])
