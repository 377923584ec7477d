from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ml.mixing import mix, popularity_share, scale_rows
from ml.ranking import blocks, top_k

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


@given(rows=st.integers(0, 50), columns=st.integers(0, 10**7))
def test_blocks_cover_each_row_once(rows, columns):
    covered = [row for part in blocks(rows, columns) for row in range(part.start, part.stop)]

    assert covered == list(range(rows))


@given(met=st.integers(0, 1000), share=st.floats(0, 1), prior=st.floats(0, 100))
def test_popularity_lets_go_as_evidence_grows(met, share, prior):
    now, later = popularity_share(np.array([met, met + 1]), share=share, prior=prior)

    assert share - 1e-6 <= later <= now <= 1
    assert popularity_share(np.array([0]), share=share, prior=prior) == 1


def test_scores_are_scaled_by_the_best_and_mixed_by_share():
    personal = scale_rows(np.array([[2.0, 1.0], [0.0, 0.0]]))

    mixed = mix(personal, np.array([0.0, 1.0], np.float32), np.array([0.25, 1.0], np.float32))

    assert personal.tolist() == [[1.0, 0.5], [0.0, 0.0]]
    assert mixed.tolist() == [[0.75, 0.625], [0.0, 1.0]]
