from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import ndcg_score

from ml.dataset import DAY_S
from ml.evaluate import evaluate, ndcg_at_10, paired_interval
from ml.ranking import top_k
from ml.split import split_by_time


@pytest.fixture
def split(interactions_of, noon):
    """u1 knows a and is asked for b; u2 knows b and c and is asked for a and d."""
    data = interactions_of(
        ("u1", "a", 9), ("u2", "b", 9), ("u2", "c", 9), ("u3", "d", 9),
        ("u1", "b", 1), ("u2", "a", 1), ("u2", "d", 1), ("u3", "new", 1),
    )  # fmt: skip
    return split_by_time(data, noon.timestamp() - 5 * DAY_S)


def fixed(*scores):
    return lambda people: np.tile(np.array(scores, np.float32), (len(people), 1))


def test_the_metrics_of_a_known_ranking(split):
    result = evaluate(fixed(5, 1, 4, 3, 9), split)

    # u1: c, d, b after a is left out and "new" was unknown; u2: a, d.
    assert result.reciprocal_rank.tolist() == pytest.approx([1 / 3, 1])
    assert result.ndcg.tolist() == pytest.approx([1 / np.log2(4), 1])
    assert result.recall.tolist() == [1, 1]
    assert result.hit_rate.tolist() == [1, 1]
    assert result.coverage == 1
    assert result.means()["mrr"] == pytest.approx(2 / 3)


def test_ties_go_to_the_earlier_product(split):
    assert evaluate(fixed(1, 1, 1, 1, 1), split).reciprocal_rank.tolist() == [1, 1]


def test_seen_products_are_ranked_where_repeats_are_asked_for(interactions_of, noon):
    data = interactions_of(("u1", "a", 9), ("u1", "b", 9), ("u1", "b", 1))
    split = split_by_time(data, noon.timestamp() - 5 * DAY_S, exclude_seen=False)

    assert evaluate(fixed(2, 1), split).reciprocal_rank.tolist() == [0.5]


def test_nobody_to_ask_gives_empty_figures(split):
    result = evaluate(fixed(1, 1, 1, 1, 1), split, people=np.zeros(0, np.int32))

    assert result.ndcg.size == 0
    assert result.means()["ndcg_at_10"] == 0


@given(
    scores=arrays(np.float32, (3, 15), elements=st.floats(-10, 10, width=32), unique=True),
    truth=arrays(np.bool_, (3, 15)),
)
def test_ndcg_is_that_of_scikit_learn(scores, truth):
    truth[:, 0] = True

    ours = ndcg_at_10(top_k(scores, 20)[0], truth)

    assert ours.mean() == pytest.approx(ndcg_score(truth, scores, k=10, ignore_ties=True))


def test_an_interval_holds_the_mean_and_is_the_same_for_the_same_seed():
    random = np.random.default_rng(0)
    first, second = random.normal(0.1, 1, 400), random.normal(0, 1, 400)

    mean, low, high = paired_interval(first, second, seed=1)

    assert low < mean < high
    assert high - low == pytest.approx(2 * 1.96 * (first - second).std() / 20, rel=0.15)
    assert paired_interval(first, second, seed=1) == (mean, low, high)
    assert paired_interval(np.zeros(0), seed=1) == (0, 0, 0)
