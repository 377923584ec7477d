"""What holds for every estimator, on the same small matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import BaseEstimator, clone
from sklearn.utils.estimator_checks import check_estimator

from ml.estimators.cold import ContentFactors
from ml.estimators.ease import EASE
from ml.estimators.factors import ImplicitFactors
from ml.estimators.knn import ItemKNN
from ml.estimators.rp3 import RP3Beta

TABLES = {
    "cosine": ItemKNN(),
    "bm25": ItemKNN(metric="bm25"),
    "rp3beta": RP3Beta(),
    "ease": EASE(1.0),
}
MODELS = TABLES | {"factors": ImplicitFactors(3)}

every_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


@pytest.mark.parametrize(
    "estimator",
    [*MODELS.values(), ContentFactors()],
    ids=[*MODELS.keys(), "content"],
)
def test_it_keeps_the_conventions_of_scikit_learn(estimator: BaseEstimator) -> None:
    results = check_estimator(clone(estimator), on_skip=None)

    assert {result["status"] for result in results} <= {"passed", "skipped"}


@every_model
def test_dense_and_sparse_strengths_give_the_same_scores(model: Any, strengths: csr_array) -> None:
    scores = clone(model).fit(strengths).transform(strengths)

    dense = clone(model).fit(strengths.toarray()).transform(strengths.toarray())
    matrix = clone(model).fit(csr_matrix(strengths)).transform(csr_matrix(strengths))
    assert scores.dtype == np.float32
    assert scores.shape == (6, 5)
    assert (dense == scores).all()
    assert (matrix == scores).all()


@every_model
def test_stored_zeros_and_entries_in_two_pieces_change_nothing(model: Any) -> None:
    values, products, starts = [1.0, 0.0, 0.5, 0.5, 2.0], [1, 2, 2, 2, 0], [0, 2, 5]
    odd = csr_array((values, products, starts), shape=(2, 3))

    scores = clone(model).fit(odd).transform(odd)

    plain = np.array([[0.0, 1.0, 0.0], [2.0, 0.0, 1.0]])
    assert scores == pytest.approx(clone(model).fit(plain).transform(plain))
    assert odd.nnz == 5


@every_model
def test_what_nobody_met_is_scored_zero_and_so_is_all_for_who_met_nothing(
    model: Any, strengths: csr_array
) -> None:
    scores = clone(model).fit(strengths).transform(strengths)

    assert (scores[:, 4] == 0).all()
    assert (scores[5] == 0).all()


@every_model
def test_people_like_those_of_a_product_are_recommended_it(
    model: Any, strengths: csr_array
) -> None:
    fitted = clone(model).fit(strengths)

    first, second = fitted.transform(np.array([[1.0, 0, 0, 0, 0], [0, 0, 0, 1.0, 0]]))

    assert first[1] > first[3]
    assert second[2] > second[0]


@every_model
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_strengths_that_cannot_be_are_refused(model: Any, value: float) -> None:
    strengths = csr_array(np.array([[1.0, value], [1.0, 1.0]]))

    with pytest.raises(ValueError, match=r"must be >= 0, got -1|contains (NaN|infinity)"):
        clone(model).fit(strengths)


@every_table
def test_scores_are_strengths_times_the_table(table: Any, strengths: csr_array) -> None:
    fitted = clone(table).fit(strengths)

    scores = fitted.transform(strengths)

    assert scores == pytest.approx((strengths @ fitted.table_matrix()).toarray(), abs=1e-6)
    assert fitted.table_matrix().diagonal() == pytest.approx(0)


@every_table
def test_neighbours_come_best_first_and_the_first_of_many_are_the_few(
    table: Any, strengths: csr_array
) -> None:
    many = clone(table).fit(strengths)

    few, fewer = clone(table).set_params(k=2).fit(strengths), many.first(2)

    assert (np.diff(np.abs(many.score_), axis=1) <= 0).all()
    assert (fewer.index_ == few.index_).all()
    assert (fewer.score_ == few.score_).all()
    assert (fewer.transform(strengths) == few.transform(strengths)).all()
    assert fewer.get_params() == few.get_params()


@every_table
def test_one_product_has_no_neighbours(table: Any) -> None:
    fitted = clone(table).fit(np.ones((3, 1)))

    assert fitted.index_.shape == (1, 0)
    assert fitted.transform(np.ones((2, 1))).tolist() == [[0.0], [0.0]]


@every_table
def test_no_neighbours_cannot_be_asked_for(table: Any, strengths: csr_array) -> None:
    fitted = clone(table).fit(strengths)

    with pytest.raises(ValueError, match="k must be >= 1, got 0"):
        clone(table).set_params(k=0).fit(strengths)
    with pytest.raises(ValueError, match="k must be >= 1, got 0"):
        fitted.first(0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ItemKNN(shrinkage=-1.0), "shrinkage must be >= 0, got -1.0"),
        (ItemKNN(metric="dice"), "metric must be one of cosine, bm25, got 'dice'"),
        (ItemKNN(B=1.5), "B must be <= 1, got 1.5"),
        (RP3Beta(beta=-0.5), "beta must be >= 0, got -0.5"),
        (EASE(0.0), "regularisation must be > 0, got 0.0"),
        (EASE(float("nan")), "regularisation must be > 0, got nan"),
        (ImplicitFactors(0), "num_factors must be >= 1, got 0"),
        (ImplicitFactors(unobserved_weight=-1.0), "unobserved_weight must be >= 0, got -1.0"),
        (ImplicitFactors(solver="sgd"), "solver must be one of own, implicit, got 'sgd'"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_a_parameter_beyond_its_limit_is_refused(
    model: Any, message: str, strengths: csr_array
) -> None:
    with pytest.raises(ValueError, match=message):
        model.fit(strengths)
