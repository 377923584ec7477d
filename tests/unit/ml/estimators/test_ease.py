from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from ml.estimators.ease import EASE, estimate_memory_bytes

MET = st.lists(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=5, max_size=5), min_size=1, max_size=8
)


def closed_form(strengths: np.ndarray, regularisation: float) -> np.ndarray:
    inverse = np.linalg.inv(strengths.T @ strengths + regularisation * np.eye(strengths.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


@given(met=MET, regularisation=st.sampled_from([0.5, 10.0, 1000.0]))
def test_the_table_is_the_closed_form(met: list[list[float]], regularisation: float) -> None:
    strengths = np.array(met)

    table = EASE(regularisation).fit(strengths).table_matrix().toarray()

    assert table == pytest.approx(closed_form(strengths, regularisation), abs=1e-5)


def test_products_compared_in_many_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    strengths = np.random.default_rng(3).integers(0, 3, (40, 23)).astype(float)
    whole = EASE(5.0).fit(strengths)

    monkeypatch.setattr("ml.ranking.CELLS_PER_BLOCK", 60)
    pieces = EASE(5.0).fit(strengths)

    assert (pieces.index_ == whole.index_).all()
    assert (pieces.score_ == whole.score_).all()


def test_rows_keep_what_speaks_loudest_for_or_against(strengths: csr_array) -> None:
    weights = closed_form(strengths.toarray(), 1.0)

    fitted = EASE(1.0, k=2).fit(strengths)

    loudest = np.argsort(-np.abs(weights[:4]), axis=1)[:, :2]
    assert (fitted.index_[:4] == loudest).all()
    assert fitted.score_[:4] == pytest.approx(np.take_along_axis(weights[:4], loudest, 1), abs=1e-6)
    assert (fitted.score_ < 0).any()
    assert fitted.index_[4].tolist() == [-1, -1]


def test_more_products_than_allowed_are_refused_before_the_work(strengths: csr_array) -> None:
    with pytest.raises(ValueError, match="products must be <= 4, got 5"):
        EASE(max_products=4).fit(strengths)


def test_a_regularisation_lost_in_rounding_is_told_and_not_guessed() -> None:
    twins = np.full((3, 2), 1e4)

    with pytest.raises(ValueError, match="regularisation too small"):
        EASE(1e-6).fit(twins)
    with pytest.raises(ValueError, match="strengths too large"):
        EASE(1.0).fit(np.array([[1e25, 1.0], [1.0, 1e25]]))


def test_it_takes_no_more_memory_than_it_says() -> None:
    random = np.random.default_rng(5)
    people, products = random.integers(0, 500, 4000), random.integers(0, 1200, 4000)
    strengths = csr_array((np.ones(4000, np.float32), (people, products)), shape=(500, 1200))

    tracemalloc.start()
    try:
        EASE().fit(strengths)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < estimate_memory_bytes(1200)
