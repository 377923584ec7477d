"""Train factors with the `implicit` package, where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits


def train_with_implicit(
    strengths: Any,
    *,
    num_factors: int,
    ridge: float,
    unobserved_weight: float,
    iterations: int,
    seed: int,
) -> npt.NDArray[np.float32]:
    """Return the factors of the products.

    The package gives every pair the weight 1 and knows one regularisation for
    all, so the loss is divided by the weight of the unobserved pairs, and the
    frequency-scaled regularisation becomes its average.

    Parameters
    ----------
    strengths : csr_array, shape (people, products)
    ridge : float
        The average regularisation, λ · (entries + α₀ · others)^nu.
    unobserved_weight : float
        α₀, above zero.

    Returns
    -------
    ndarray of float32, shape (products, num_factors)

    Raises
    ------
    ImportError
        If the package is not installed.
    ValueError
        If `unobserved_weight` is zero.
    """
    if not unobserved_weight > 0:
        raise ValueError(f"unobserved_weight must be > 0 for implicit, got {unobserved_weight}")
    try:
        from implicit.cpu.als import AlternatingLeastSquares
    except ImportError as error:
        raise ImportError('solver="implicit" needs the package: pip install implicit') from error

    confidence = csr_matrix(strengths, dtype=np.float32, copy=True)
    confidence.data = 1.0 + confidence.data / np.float32(unobserved_weight)
    # Its threads and those of BLAS would wait for each other.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=num_factors,
            regularization=ridge / unobserved_weight,
            iterations=iterations,
            random_state=seed,
        )
        model.fit(confidence, show_progress=False)
    return np.asarray(model.item_factors, dtype=np.float32)
