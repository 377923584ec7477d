from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from ml.estimators.rp3 import RP3Beta


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, 0.6), (0.7, 0.3), (1.5, 1.0)])
def test_scores_are_the_probabilities_of_the_walk(
    strengths: csr_array, alpha: float, beta: float
) -> None:
    met = strengths.toarray().astype(float)[:5, :4]
    to_people = (met / met.sum(axis=0)).T
    to_products = met / met.sum(axis=1, keepdims=True)
    popularity = (met > 0).sum(axis=0)
    expected = to_people**alpha @ to_products**alpha / popularity**beta
    np.fill_diagonal(expected, 0)

    table = RP3Beta(alpha=alpha, beta=beta).fit(strengths).table_matrix().toarray()

    assert table[:4, :4] == pytest.approx(expected)
    assert (table[4] == 0).all()
    assert (table[:, 4] == 0).all()


def test_without_powers_a_walk_ends_somewhere() -> None:
    met = np.array([[1.0, 2.0, 0.0], [1.0, 1.0, 3.0]])

    table = RP3Beta(alpha=1.0, beta=0.0).fit(met).table_matrix().toarray()

    # What is missing of 1 is the walk that comes back to where it began.
    assert table[0].sum() == pytest.approx(1 - (1 / 2 * 1 / 3 + 1 / 2 * 1 / 5))
