"""One small matrix that every estimator is tested on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array


@pytest.fixture
def strengths() -> csr_array:
    """Six people and five products; nobody met the last product, and the last person met none."""
    return csr_array(
        np.array(
            [
                [2.0, 1.0, 0.0, 0.0, 0.0],
                [1.0, 1.0, 0.0, 0.0, 0.0],
                [1.0, 3.0, 1.0, 0.0, 0.0],
                [0.0, 0.0, 1.0, 1.0, 0.0],
                [0.0, 1.0, 2.0, 4.0, 0.0],
                [0.0, 0.0, 0.0, 0.0, 0.0],
            ],
            dtype=np.float32,
        )
    )
