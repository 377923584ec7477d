from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from ml.estimators.cold import ContentFactors

FEATURES = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [0, 1.0, 0], [0, 0.6, 0.8]])
FACTORS = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0], [-1.0, 2.0]])


def test_it_is_ridge_regression_around_the_average() -> None:
    mean = FACTORS.mean(axis=0)
    left = FEATURES.T @ FEATURES + 0.5 * np.eye(3)
    weights = np.linalg.solve(left, FEATURES.T @ (FACTORS - mean))

    dense = ContentFactors(0.5).fit(FEATURES, FACTORS)
    sparse = ContentFactors(0.5).fit(csr_array(FEATURES, dtype=np.float32), FACTORS)

    assert dense.predict(FEATURES) == pytest.approx(FEATURES @ weights + mean)
    assert sparse.coef_ == pytest.approx(weights.T, abs=1e-4)
    assert sparse.intercept_ == pytest.approx(mean)
    assert sparse.predict(csr_array(FEATURES, dtype=np.float32)).dtype == np.float32


def test_a_product_of_which_nothing_is_known_gets_the_average() -> None:
    model = ContentFactors().fit(csr_array(FEATURES), FACTORS)

    assert model.predict(csr_array((1, 3)))[0] == pytest.approx(FACTORS.mean(axis=0))


def test_a_cold_product_gets_factors_like_those_it_looks_like() -> None:
    random = np.random.default_rng(6)
    group = np.arange(60) % 3
    features = np.eye(3)[group] + 0.1 * random.random((60, 3))
    factors = np.eye(3)[group] @ random.standard_normal((3, 8))

    model = ContentFactors(0.1).fit(csr_array(features[:50]), factors[:50])
    predicted = model.predict(csr_array(features[50:]))

    assert predicted == pytest.approx(factors[50:], abs=0.3)


def test_without_a_penalty_it_refuses() -> None:
    with pytest.raises(ValueError, match="alpha must be > 0, got 0"):
        ContentFactors(0).fit(FEATURES, FACTORS)
