from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from ml.estimators.knn import ItemKNN, bm25_weights
from ml.estimators.strengths import keep_strongest

MET = st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=6, max_size=6), min_size=1)

# Three people met a and b, one of them c too, one person met c and d.
KNOWN = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]], dtype=float)
A, B, C, D = range(4)


def test_the_known_matrix_gives_the_known_neighbours() -> None:
    model = ItemKNN(shrinkage=0, history_exponent=0).fit(KNOWN)

    assert model.index_.tolist() == [[B, C, -1], [A, C, -1], [D, A, B], [C, -1, -1]]
    assert model.score_[A] == pytest.approx([1, 1 / np.sqrt(6), 0])
    assert model.score_[C] == pytest.approx([1 / np.sqrt(2), 1 / np.sqrt(6), 1 / np.sqrt(6)])


def test_few_people_count_less_and_one_alone_not_at_all() -> None:
    model = ItemKNN(shrinkage=1, min_people=2).fit(KNOWN)

    assert model.index_.tolist() == [[B, -1, -1], [A, -1, -1], [-1] * 3, [-1] * 3]
    assert model.score_[A, 0] == pytest.approx(3 / 4)


def test_who_met_much_says_less_about_each_pair() -> None:
    model = ItemKNN(shrinkage=0, history_exponent=0.5).fit(KNOWN)

    weights = KNOWN / np.sqrt(KNOWN.sum(axis=1, keepdims=True))
    unit = weights / np.linalg.norm(weights, axis=0)
    assert model.score_[A, 1] == pytest.approx(unit[:, A] @ unit[:, C])
    assert model.score_[A, 1] < 1 / np.sqrt(6)


def test_bm25_weighs_people_as_documents_and_products_as_words(strengths: csr_array) -> None:
    met = strengths.toarray().astype(float)
    length = met.sum(axis=1, keepdims=True)
    rarity = np.log(6 / np.maximum((met > 0).sum(axis=0), 1))
    expected = met * 2.2 / (met + 1.2 * (0.25 + 0.75 * length / length.mean())) * rarity

    weights = bm25_weights(strengths, K1=1.2, B=0.75).toarray()
    model = ItemKNN(metric="bm25", shrinkage=0, K1=1.2, B=0.75).fit(strengths)

    assert weights == pytest.approx(expected, abs=1e-6)
    products = expected.T @ expected
    np.fill_diagonal(products, 0)
    assert model.table_matrix().toarray() == pytest.approx(products, abs=1e-5)


@given(met=MET)
def test_cosines_are_symmetric_bounded_and_of_those_met_together(met: list[list[float]]) -> None:
    model = ItemKNN().fit(np.array(met))

    table = model.table_matrix().toarray()
    seen = (np.array(met) > 0).astype(int)
    together = seen.T @ seen
    np.fill_diagonal(together, 0)
    assert ((table > 0) == (together > 0)).all()
    assert table == pytest.approx(table.T, abs=1e-6)
    assert ((table >= 0) & (table <= 1)).all()


def test_many_products_that_hardly_meet_are_compared_as_few_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(9)
    met = (random.random((80, 120)) < 0.02).astype(float)
    dense = ItemKNN(5).fit(met)

    monkeypatch.setattr("ml.estimators.table.SPARSE_BELOW", 1)
    monkeypatch.setattr("ml.ranking.CELLS_PER_BLOCK", 1000)
    sparse = ItemKNN(5).fit(met)

    assert (sparse.index_ == dense.index_).all()
    assert (sparse.score_ == dense.score_).all()


def test_only_the_strongest_of_a_crawler_count() -> None:
    met = csr_array(np.array([[1.0, 3.0, 2.0, 0.0], [1.0, 0.0, 0.0, 1.0]]))

    assert keep_strongest(met, 2).toarray().tolist() == [[0, 3, 2, 0], [1, 0, 0, 1]]
    assert ItemKNN(max_history=2).fit(met).index_[0].tolist() == [3, -1, -1]
