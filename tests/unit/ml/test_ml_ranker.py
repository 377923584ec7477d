from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from ml.ranker import ListwiseRanker


@pytest.fixture
def lists():
    """Forty questions of seven candidates; feature 0 speaks for a hit, 1 against, 2 is noise."""
    random = np.random.default_rng(3)
    question = np.repeat(np.arange(40), 7)
    features = random.random((len(question), 3))
    likely = np.exp(4 * features[:, 0] - 4 * features[:, 1])
    hit = np.zeros(len(question), bool)
    for number in range(40):
        mine = np.flatnonzero(question == number)
        hit[random.choice(mine, 2, replace=False, p=likely[mine] / likely[mine].sum())] = True
    return features, hit, question


def loss(weights, features, hit, question, regularisation):
    """Say the loss of the docstring in a plain loop."""
    total, asked = 0.0, [number for number in np.unique(question) if hit[question == number].any()]
    for number in asked:
        mine = question == number
        scores = features[mine] @ weights
        total -= (scores - np.log(np.exp(scores).sum()))[hit[mine]].mean()
    return total / len(asked) + regularisation / len(asked) * (weights @ weights)


def test_it_keeps_the_conventions_of_scikit_learn():
    results = check_estimator(ListwiseRanker(), on_skip=None)

    assert {result["status"] for result in results} <= {"passed", "skipped"}


@pytest.mark.parametrize("regularisation", [0.3, 1.0, 30.0])
def test_the_weights_are_where_the_loss_is_level_and_lowest(lists, regularisation):
    coef = ListwiseRanker(regularisation).fit(*lists).coef_

    slope = approx_fprime(coef, loss, 1e-7, *lists, regularisation)
    assert slope == pytest.approx(np.zeros(3), abs=1e-3)
    for step in np.eye(3) * 0.1:
        assert loss(coef, *lists, regularisation) < loss(coef + step, *lists, regularisation)
        assert loss(coef, *lists, regularisation) < loss(coef - step, *lists, regularisation)


def test_what_speaks_against_a_product_gets_a_negative_weight(lists):
    ranker = ListwiseRanker().fit(*lists)

    assert ranker.coef_[0] > 1 > 0.5 > abs(ranker.coef_[2])
    assert ranker.coef_[1] < -1
    assert ranker.predict([[1, 0, 0], [0, 1, 0]]) == pytest.approx(ranker.coef_[:2])


def test_one_list_of_two_has_a_known_answer():
    """The loss is log(1 + e^-w) + λw²; at its minimum 2λw(1 + e^w) = 1."""
    weight = 0.8
    regularisation = 1 / (2 * weight * (1 + np.exp(weight)))

    coef = ListwiseRanker(regularisation).fit([[1.0], [0.0]], [True, False]).coef_

    assert coef == pytest.approx([weight], abs=1e-3)


def test_questions_without_a_hit_teach_nothing(lists):
    features, hit, question = lists
    unanswered = np.vstack([features, 1 - features]), np.append(hit, np.zeros_like(hit))

    more = ListwiseRanker().fit(*unanswered, np.append(question, 40 + question))

    assert (more.coef_ == ListwiseRanker().fit(*lists).coef_).all()
    assert (ListwiseRanker().fit(features, np.zeros_like(hit), question).coef_ == 0).all()


def test_twice_the_data_and_twice_the_regularisation_give_the_same_weights(lists):
    features, hit, question = lists
    twice = np.vstack([features, features]), np.append(hit, hit), np.append(question, 40 + question)

    coef = ListwiseRanker(2.0).fit(*twice).coef_

    assert coef == pytest.approx(ListwiseRanker(1.0).fit(*lists).coef_, abs=1e-3)


def test_equal_data_give_equal_weights_and_single_precision_nearly_the_same(lists):
    features, hit, question = lists

    coef = ListwiseRanker().fit(*lists).coef_

    assert (clone(ListwiseRanker()).fit(*lists).coef_ == coef).all()
    single = ListwiseRanker().fit(features.astype(np.float32), hit, question).coef_
    assert single == pytest.approx(coef, abs=0.02)
    begun = ListwiseRanker(start=coef + 1).fit(*lists).coef_
    assert begun == pytest.approx(coef, abs=0.01)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"question": [1, 0]}, "must be ascending"),
        ({"question": [0]}, "differ: 2, 2, 1"),
        ({"y": [True]}, "differ: 2, 1, 2"),
        ({"X": [[np.nan], [1.0]]}, "NaN"),
    ],
)
def test_lists_that_cannot_be_are_refused(change, match):
    lists = {"X": [[0.0], [1.0]], "y": [True, False], "question": [0, 0]} | change

    with pytest.raises(ValueError, match=match):
        ListwiseRanker().fit(**lists)


def test_a_regularisation_below_zero_is_refused(lists):
    with pytest.raises(ValueError, match="regularisation must be >= 0, got -1"):
        ListwiseRanker(-1).fit(*lists)
