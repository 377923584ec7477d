"""EASE: a linear model from products to products, learned in closed form."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack
from scipy.sparse import csr_array, vstack

from ml.estimators.parameters import check_parameters
from ml.estimators.strengths import check_strengths, gram_matrix
from ml.estimators.table import ItemTable, sparse_table
from ml.ranking import CELLS_PER_BLOCK, blocks, top_k

Gram = npt.NDArray[np.float32]


class EASE(ItemTable):
    """Embarrassingly shallow autoencoder: the weights B that best rebuild X from X.

    B minimises ‖X - X·B‖² + λ·‖B‖² with a diagonal of zeros [1]_. With
    P = (XᵀX + λ·I)⁻¹ that is B(i, j) = -P(i, j) / P(j, j). Scores may be
    negative: a product can speak against another.

    P comes from a Cholesky decomposition (LAPACK potrf and potri) in place of
    the Gram matrix, in float32: half the time and memory of float64. Time
    grows with the cube of the number of products, memory with its square.

    Parameters
    ----------
    regularisation : float
        λ, in units of squared strength: added to each product's Σ strength².
    k : int
        How many entries are kept of each row of B, the largest by absolute value.
    max_products : int
        More are refused, see `estimate_memory_bytes`.

    Attributes
    ----------
    index_, score_ : ndarray
        Rows of B, see `ItemTable`.

    References
    ----------
    .. [1] Steck: Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.
    """

    def __init__(
        self, regularisation: float = 100.0, *, k: int = 200, max_products: int = 12_000
    ) -> None:
        self.regularisation = regularisation
        self.k = k
        self.max_products = max_products

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from strengths.

        Parameters
        ----------
        X : array-like or sparse, shape (people, products)
        y : ignored

        Raises
        ------
        ValueError
            Also if there are more products than `max_products`, or if
            `regularisation` is lost in the rounding of float32.
        """
        strengths = check_strengths(self, X, reset=True)
        self._check(strengths.shape[1])
        return self._learn(gram_matrix(strengths))

    def _check(self, num_products: int) -> None:
        check_parameters(self, at_least={"k": 1}, above={"regularisation": 0})
        if num_products > self.max_products:
            raise ValueError(f"products must be <= {self.max_products}, got {num_products}")

    def _learn(self, gram: Gram) -> Self:
        """Turn the Gram matrix into P in its own memory, and P into the table."""
        num_products = len(gram)
        gram.flat[:: num_products + 1] += np.float32(self.regularisation)
        inverse = _invert(gram)
        width = self._width(num_products)
        parts = [csr_array((0, num_products), dtype=np.float32)]
        diagonal = inverse.diagonal()
        for rows in blocks(num_products, num_products):
            weights = _symmetric_rows(inverse, rows)
            weights /= -diagonal
            weights[np.arange(len(weights)), np.arange(rows.start, rows.stop)] = 0.0
            size = np.abs(weights)
            size[size == 0] = -np.inf
            index, _ = top_k(size, width)
            score = np.take_along_axis(weights, np.maximum(index, 0), axis=1)
            parts.append(sparse_table(index, score, num_products=num_products))
        return self._keep_table(vstack(parts, format="csr"))


def estimate_memory_bytes(num_products: int, *, k: int = 200) -> int:
    """Return about how much `EASE.fit` takes at its peak, without the strengths themselves."""
    gram_bytes = 4 * num_products**2
    table_bytes = 2 * 8 * num_products * min(k, num_products)
    block_bytes = 16 * CELLS_PER_BLOCK
    return gram_bytes + table_bytes + block_bytes


def _invert(gram: Gram) -> Gram:
    """Return the inverse in the memory of `gram`; only its upper triangle holds."""
    # The transpose of C order is the column order that LAPACK works on without a copy.
    factor, failed = lapack.spotrf(gram.T, lower=1, clean=0, overwrite_a=1)
    if not failed:
        factor, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    inverse: Gram = factor.T
    diagonal = inverse.diagonal()
    if failed or not ((diagonal > 0) & np.isfinite(diagonal)).all():
        raise ValueError("no inverse in float32: regularisation too small or strengths too large")
    return inverse


def _symmetric_rows(upper: Gram, rows: slice) -> Gram:
    """Return whole rows of a symmetric matrix of which only the upper triangle holds."""
    whole = upper[rows].copy()
    whole[:, : rows.start] = upper[: rows.start, rows].T
    corner = np.triu(whole[:, rows])
    whole[:, rows] = corner + np.triu(corner, 1).T
    return whole
