from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import ndcg_score

from ml.dataset import DAY_S
from ml.evaluate import evaluate, ndcg_at_10
from ml.exposure import gini
from ml.intervals import paired_interval
from ml.ranking import top_k
from ml.splits import ColdProducts, TimeWindow


@pytest.fixture
def split(interactions_of, noon):
    """u1 knows a and is asked for b; u2 knows b and c and is asked for a and d."""
    data = interactions_of(
        ("u1", "a", 9), ("u2", "b", 9), ("u2", "c", 9), ("u3", "d", 9),
        ("u1", "b", 1), ("u2", "a", 1), ("u2", "d", 1), ("u3", "new", 1),
    )  # fmt: skip
    return TimeWindow(noon.timestamp() - 5 * DAY_S).split(data)


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
    split = TimeWindow(noon.timestamp() - 5 * DAY_S, exclude_seen=False).split(data)

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


def test_what_lists_show_is_measured(split):
    result = evaluate(fixed(5, 1, 4, 3, 9), split)

    # u1 is shown c, d, b; u2 a, d. Of four products each was met by one of three people.
    assert result.exposure.novelty == pytest.approx(np.log2(3))
    assert result.exposure.gini == pytest.approx(gini(np.array([1, 1, 1, 2])))
    assert result.exposure.popularity_share == pytest.approx(1 / 5)
    assert result.means()["coverage_at_10"] == 1


def test_a_hit_beyond_the_tenth_place_counts_at_twenty_and_beyond_that_in_the_rank_alone(
    interactions_of, noon
):
    products = [f"p{number:02d}" for number in range(30)]
    rows = [("u0", product, 9) for product in products]
    rows += [(user, "p29", 9) for user in ("u1", "u2")]
    data = interactions_of(*rows, ("u1", "p14", 1), ("u2", "p24", 1))
    split = TimeWindow(noon.timestamp() - 5 * DAY_S).split(data)

    result = evaluate(fixed(*range(30, 0, -1)), split)

    assert result.reciprocal_rank.tolist() == pytest.approx([1 / 15, 1 / 25])
    assert result.reciprocal_rank_20.tolist() == pytest.approx([1 / 15, 0])
    assert result.hit_rate_10.tolist() == [0, 0]
    assert result.hit_rate.tolist() == [1, 0]
    assert result.exposure.popularity_share == pytest.approx(4 / 20)


def test_figures_are_told_for_short_and_long_histories(interactions_of, noon):
    rows = [("u1", "p00", 9), ("u1", "p20", 1)]
    rows += [("u2", f"p{number:02d}", 9) for number in range(12)] + [("u2", "p20", 1)]
    data = interactions_of(*rows, ("u3", "p20", 9))
    split = TimeWindow(noon.timestamp() - 5 * DAY_S).split(data)

    found = evaluate(fixed(*range(13)), split).by_history_length()

    assert found == {
        "1-3": {"people": 1, "ndcg_at_10": 1, "recall_at_10": 1},
        "11-50": {"people": 1, "ndcg_at_10": 1, "recall_at_10": 1},
    }


def test_only_products_that_may_be_ranked_are_ranked(split):
    cold = ColdProducts(split.source, share=0.5, seed=1).split(split.train)
    asked = replace(split, rankable=np.array([False, True, False, True, False]))

    result = evaluate(fixed(5, 1, 4, 3, 9), asked)

    assert result.exposure.coverage == 1
    assert result.reciprocal_rank.tolist() == pytest.approx([1 / 2, 1])
    assert cold.rankable.sum() == 2


@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=9).filter(any))
def test_gini_is_half_the_mean_difference_over_the_mean(counts):
    values = np.array(counts)

    differences = np.abs(values[:, None] - values[None, :]).mean()

    assert gini(values) == pytest.approx(differences / 2 / values.mean())
    assert gini(np.zeros(3, np.int64)) == 0
