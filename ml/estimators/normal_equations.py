"""Many small ridge regressions at once: one per row of a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

# 16 MB of float32 for each of the arrays of a batch.
CELLS_PER_BATCH = 4_000_000


def solve_rows(
    strengths: Any, factors: FloatArray, shared: FloatArray, ridge: npt.NDArray[np.float32]
) -> FloatArray:
    """Return for each row u the w that solves (shared + Σ x·h·hᵀ + ridge_u·I)·w = Σ x·h.

    The sums go over the entries x of row u, with h the factors of their
    columns. Rows of about equal length are solved together, in batches of
    bounded memory.

    The work is done in the basis of the eigenvectors of `shared`. There the
    part that rows have in common is diagonal, and a row with fewer entries
    than factors needs only a system as large as its number of entries
    (Woodbury's identity).

    Parameters
    ----------
    strengths : csr_array of float32, shape (rows, columns)
        Values above zero.
    factors : ndarray of float32, shape (columns, num_factors)
    shared : ndarray of float32, shape (num_factors, num_factors)
        Symmetric, not negative definite.
    ridge : ndarray of float32, shape (rows,)
        Above zero.

    Returns
    -------
    ndarray of float32, shape (rows, num_factors)
        Zero for rows without entries.
    """
    num_factors = factors.shape[1]
    eigenvalues, basis = np.linalg.eigh(shared.astype(np.float64))
    spread = np.maximum(eigenvalues, 0.0).astype(np.float32)
    basis = basis.astype(np.float32)
    factors = factors @ basis
    solution = np.zeros((strengths.shape[0], num_factors), dtype=np.float32)
    for rows, length in _batches(np.diff(strengths.indptr), num_factors):
        root, met = _gather(strengths, factors, rows, length)
        diagonal = spread + ridge[rows, None]
        solve = _solve_short if length < num_factors else _solve_long
        solution[rows] = solve(root, met, diagonal)
    return solution @ basis.T


def _batches(
    lengths: npt.NDArray[Any], num_factors: int
) -> Iterator[tuple[npt.NDArray[np.int64], int]]:
    """Yield rows that have entries, shortest first, and the length of the longest in each batch."""
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    sorted_lengths = lengths[order]
    start = 0
    while start < len(order):
        # About a fourth longer than the shortest at most: what is padded is computed in vain.
        longest = sorted_lengths[start] * 5 // 4 + 2
        alike = int(np.searchsorted(sorted_lengths, longest, side="right"))
        cells_per_row = num_factors * max(int(sorted_lengths[alike - 1]), num_factors)
        end = min(alike, start + max(1, CELLS_PER_BATCH // cells_per_row))
        yield order[start:end], int(sorted_lengths[end - 1])
        start = end


def _gather(
    strengths: Any, factors: FloatArray, rows: npt.NDArray[np.int64], length: int
) -> tuple[FloatArray, FloatArray]:
    """Return √x and √x·h of the entries of some rows, padded with zeros: (rows, length[, f])."""
    place = strengths.indptr[rows][:, None] + np.arange(length)
    beyond = place >= strengths.indptr[rows + 1][:, None]
    place[beyond] = 0
    root = np.sqrt(strengths.data[place])
    root[beyond] = 0.0
    met = factors[strengths.indices[place]]
    met *= root[:, :, None]
    return root, met


def _solve_short(root: FloatArray, met: FloatArray, diagonal: FloatArray) -> FloatArray:
    """Solve (D + MᵀM)·w = Mᵀ·r as w = D⁻¹·Mᵀ·(I + M·D⁻¹·Mᵀ)⁻¹·r."""
    scaled = met / diagonal[:, None, :]
    inner = scaled @ met.transpose(0, 2, 1)
    every = np.arange(root.shape[1])
    inner[:, every, every] += 1.0
    shares = np.linalg.solve(inner, root[:, :, None])
    return (shares.transpose(0, 2, 1) @ scaled)[:, 0, :]


def _solve_long(root: FloatArray, met: FloatArray, diagonal: FloatArray) -> FloatArray:
    """Solve (D + MᵀM)·w = Mᵀ·r as it stands."""
    left = met.transpose(0, 2, 1) @ met
    every = np.arange(met.shape[2])
    left[:, every, every] += diagonal
    right = root[:, None, :] @ met
    return np.linalg.solve(left, right.transpose(0, 2, 1))[:, :, 0]
