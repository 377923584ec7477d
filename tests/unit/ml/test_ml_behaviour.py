from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from ml.behaviour import BehaviourNeighbours, keep_strongest, neighbour_matrix
from ml.dataset import strength_matrix

MET = st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=6, max_size=6), min_size=1)


def test_the_known_matrix_gives_the_known_neighbours(known_matrix, noon):
    strength = strength_matrix(known_matrix, now=noon.timestamp())

    model = BehaviourNeighbours(shrinkage=0, min_people=1).fit(strength)

    a, b, c, d = range(4)
    assert model.index_.tolist() == [[b, c, -1], [a, c, -1], [d, a, b], [c, -1, -1]]
    assert model.people_.tolist() == [[3, 1, 0], [3, 1, 0], [1, 1, 1], [1, 0, 0]]
    assert model.score_[a] == pytest.approx([1, 1 / np.sqrt(6), 0])
    assert model.score_[c] == pytest.approx([1 / np.sqrt(2), 1 / np.sqrt(6), 1 / np.sqrt(6)])


def test_few_people_count_less_and_one_alone_not_at_all(known_matrix, noon):
    strength = strength_matrix(known_matrix, now=noon.timestamp())

    model = BehaviourNeighbours(shrinkage=1, min_people=2).fit(strength)

    assert model.index_.tolist() == [[1, -1, -1], [0, -1, -1], [-1] * 3, [-1] * 3]
    assert model.score_[0, 0] == pytest.approx(3 / 4)


@given(met=MET)
def test_neighbours_are_symmetric_bounded_and_never_the_product_itself(met):
    model = BehaviourNeighbours(min_people=1).fit(csr_array(np.array(met)))

    table = neighbour_matrix(model.index_, model.score_).toarray()
    people = neighbour_matrix(model.index_, model.people_).toarray()
    seen = (np.array(met) > 0).astype(int)
    together = seen.T @ seen
    np.fill_diagonal(together, 0)
    assert (people == together).all()
    assert table == pytest.approx(table.T, abs=1e-6)
    assert ((table >= 0) & (table <= 1)).all()
    assert (np.diag(table) == 0).all()


@given(met=MET, keep=st.integers(1, 3))
def test_fewer_neighbours_are_the_first_of_many(met, keep):
    matrix = csr_array(np.array(met))

    few, many = BehaviourNeighbours(keep).fit(matrix), BehaviourNeighbours().fit(matrix)

    for name in ("index_", "score_", "people_"):
        assert (getattr(few, name) == getattr(many.first(keep), name)).all()


def test_only_the_strongest_of_a_crawler_count():
    met = csr_array(np.array([[1.0, 3.0, 2.0, 0.0], [1.0, 0.0, 0.0, 1.0]]))

    kept = keep_strongest(met, 2)

    assert kept.toarray().tolist() == [[0, 3, 2, 0], [1, 0, 0, 1]]


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 3), (1, 1)])
def test_nothing_to_learn_from_gives_no_neighbours(shape):
    model = BehaviourNeighbours().fit(csr_array(shape))

    assert (model.index_ == -1).all()
    assert neighbour_matrix(model.index_, model.score_).shape == (shape[1], shape[1])


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="shrinkage must be >= 0, got -1"):
        BehaviourNeighbours(shrinkage=-1).fit(csr_array((1, 1)))
    with pytest.raises(ValueError, match="neighbours must be >= 1, got 0"):
        BehaviourNeighbours(0).fit(csr_array((1, 1)))
