from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from ml.estimators import normal_equations
from ml.estimators.factors import ImplicitFactors
from ml.estimators.normal_equations import solve_rows


def solve_plainly(
    strengths: np.ndarray, factors: np.ndarray, shared: np.ndarray, ridge: np.ndarray
) -> np.ndarray:
    """Solve the normal equations one row at a time, in float64."""
    solution = np.zeros((len(strengths), factors.shape[1]))
    for row, weights in enumerate(strengths):
        left = shared + factors.T @ (weights[:, None] * factors)
        left += ridge[row] * np.eye(factors.shape[1])
        solution[row] = np.linalg.solve(left, factors.T @ weights)
    return solution


def loss(strengths: np.ndarray, people: np.ndarray, model: ImplicitFactors) -> float:
    """Compute what iALS minimises, as the docstring of the estimator states it."""
    items = model.item_factors_.astype(np.float64)
    scores, met = people @ items.T, strengths > 0
    unobserved, power = model.unobserved_weight, model.frequency_exponent
    by_person = (met.sum(1) + unobserved * met.shape[1]) ** power * (people**2).sum(1)
    by_item = (met.sum(0) + unobserved * met.shape[0]) ** power * (items**2).sum(1)
    fit = (strengths * (1 - scores) ** 2).sum() + unobserved * (scores**2).sum()
    return fit + model.regularisation * (by_person.sum() + by_item.sum())


@given(seed=st.integers(0, 1000), num_factors=st.sampled_from([1, 4, 9]))
def test_rows_of_every_length_are_solved_as_one_by_one(seed: int, num_factors: int) -> None:
    random = np.random.default_rng(seed)
    strengths = random.random((12, 15)) * (random.random((12, 15)) < random.random((12, 1)))
    strengths = strengths.astype(np.float32)
    factors = random.standard_normal((15, num_factors)).astype(np.float32)
    shared, ridge = 0.1 * factors.T @ factors, 0.1 + random.random(12).astype(np.float32)

    solution = solve_rows(csr_array(strengths), factors, shared, ridge)

    assert solution == pytest.approx(solve_plainly(strengths, factors, shared, ridge), abs=1e-3)


def test_small_batches_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    strengths = np.random.default_rng(1).integers(0, 2, (60, 30)).astype(float)
    whole = ImplicitFactors(4).fit(strengths).item_factors_

    monkeypatch.setattr(normal_equations, "CELLS_PER_BATCH", 1)

    assert ImplicitFactors(4).fit(strengths).item_factors_ == pytest.approx(whole, abs=1e-4)


def test_fold_in_solves_the_normal_equations_of_new_people(strengths: csr_array) -> None:
    model = ImplicitFactors(3, regularisation=0.1, unobserved_weight=0.2).fit(strengths)
    newcomers = np.array([[0, 1.0, 0, 0, 0], [0, 0, 2.0, 0.5, 0]])

    people = model.fold_in(newcomers)

    items = model.item_factors_
    ridge = 0.1 * (np.array([1, 2]) + 0.2 * 5)
    assert model.gram_ == pytest.approx(0.2 * items.T @ items)
    assert people == pytest.approx(solve_plainly(newcomers, items, model.gram_, ridge), abs=1e-4)
    assert model.transform(newcomers) == pytest.approx(people @ items.T)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_training_comes_to_rest_where_the_loss_is_least(
    strengths: csr_array, exponent: float
) -> None:
    met = strengths.toarray().astype(np.float64)
    model = ImplicitFactors(2, regularisation=0.05, frequency_exponent=exponent, iterations=200)
    people = model.fit(met).fold_in(met).astype(np.float64)
    least = loss(met, people, model)

    rested = model.item_factors_
    random = np.random.default_rng(2)
    for _ in range(20):
        model.item_factors_ = rested + 0.05 * random.standard_normal(rested.shape)
        assert loss(met, people, model) > least


def test_equal_seeds_give_equal_factors_and_others_do_not(strengths: csr_array) -> None:
    first, second = (ImplicitFactors(3, seed=7).fit(strengths) for _ in range(2))
    other = ImplicitFactors(3, seed=8).fit(strengths)

    assert (first.item_factors_ == second.item_factors_).all()
    assert (first.item_factors_ != other.item_factors_).any()
    assert (first.item_factors_[4] == 0).all()


def test_without_the_package_the_error_says_what_to_install(
    strengths: csr_array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)

    with pytest.raises(ImportError, match="pip install implicit"):
        ImplicitFactors(3, solver="implicit").fit(strengths)


def test_the_package_learns_about_the_same() -> None:
    pytest.importorskip("implicit")
    groups = np.repeat(np.eye(4), 8, axis=0).repeat(6, axis=1)
    met = groups * (np.random.default_rng(4).random(groups.shape) < 0.5)

    def train(**parameters: Any) -> ImplicitFactors:
        return ImplicitFactors(8, regularisation=0.01, **parameters).fit(met)

    scores = train(solver="implicit").transform(met)

    assert (scores == train(solver="implicit").transform(met)).all()
    assert scores[groups > 0].mean() > 5 * abs(scores[groups == 0]).mean()
    assert np.corrcoef(scores.ravel(), train().transform(met).ravel())[0, 1] > 0.9
    with pytest.raises(ValueError, match="unobserved_weight must be > 0"):
        train(solver="implicit", unobserved_weight=0.0)
