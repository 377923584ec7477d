from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ml.ranking import blocks, top_k
from ml.signals import scale, weigh

SCORES = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 0.5, 2.0]),
)


@given(scores=SCORES, k=st.integers(0, 14))
def test_top_k_is_a_stable_sort_cut_at_k(scores, k):
    index, score = top_k(scores, k)

    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    for row, expected in enumerate(order):
        eligible = [at for at in expected if scores[row, at] > -np.inf]
        found = index[row][index[row] >= 0]
        assert found.tolist() == eligible
        assert score[row][: len(found)].tolist() == scores[row, found].tolist()


@given(seed=st.integers(0, 99), k=st.integers(1, 4), filled=st.sampled_from([0.0, 0.002, 0.1, 1.0]))
def test_the_best_of_very_many_are_the_same(seed, k, filled):
    random = np.random.default_rng(seed)
    scores = random.choice(np.array([-1.0, 0.5, 0.5, 2.0], np.float32), (3, 1000))
    scores[random.random(scores.shape) >= filled] = 0.0
    scores[random.random(scores.shape) < 0.2] = -np.inf

    index, score = top_k(scores, k)

    assert (index == np.argsort(-scores, axis=1, kind="stable")[:, :k]).all()
    assert (score == np.take_along_axis(scores, index, axis=1)).all()


@given(rows=st.integers(0, 50), columns=st.integers(0, 10**7))
def test_blocks_cover_each_row_once(rows, columns):
    covered = [row for part in blocks(rows, columns) for row in range(part.start, part.stop)]

    assert covered == list(range(rows))


def test_shares_are_of_the_best_and_weigh_straight_and_by_their_root():
    shares = scale(np.array([[2.0, 0.5, 9.0, -1.0], [0.0, 0.0, 0.0, -1.0]]), np.array([[2.0], [0]]))

    assert shares.tolist() == [[1.0, 0.25, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    assert weigh(shares[0], 2.0, -1.0).tolist() == [1.0, 0.0, 1.0, 0.0]
