"""A person among the factors of products: what training says of many, said of one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from ml.estimators.factors import ImplicitFactors
from ml.factor_space import FactorSpace

PRODUCTS, FACTORS = 60, 8


@pytest.fixture(scope="module")
def model() -> ImplicitFactors:
    chance = np.random.default_rng(5)
    met = chance.random((200, PRODUCTS)) * (chance.random((200, PRODUCTS)) < 0.2)
    met[:, :3] = 0.0
    return ImplicitFactors(FACTORS, regularisation=0.01, unobserved_weight=0.2).fit(met)


@pytest.fixture(scope="module")
def space(model: ImplicitFactors) -> FactorSpace:
    known = np.arange(PRODUCTS) >= 3
    return FactorSpace(model.item_factors_, known, regularisation=0.01, unobserved_weight=0.2)


# Around the number of factors the way to solve changes.
@pytest.mark.parametrize("length", [1, 2, FACTORS - 1, FACTORS, FACTORS + 1, 40])
def test_one_person_is_folded_in_as_training_folds_in_many(
    model: ImplicitFactors, space: FactorSpace, length: int
):
    chance = np.random.default_rng(length)
    places = np.sort(chance.choice(PRODUCTS, length, replace=False))
    strength = chance.random(length).astype(np.float32) + 0.1
    history = csr_array((strength, (np.zeros(length, int), places)), shape=(1, PRODUCTS))

    folded = space.fold_in(places, strength)

    wanted = (model.fold_in(history) @ model.item_factors_.T)[0]
    np.testing.assert_allclose(space.factors @ folded.factors, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("length", [1, FACTORS - 1, FACTORS, 40])
def test_the_parts_of_a_history_add_up_to_the_score(space: FactorSpace, length: int):
    chance = np.random.default_rng(length)
    places = np.sort(chance.choice(PRODUCTS, length, replace=False))
    strength = chance.random(length).astype(np.float32)
    # What is forgotten says nothing.
    strength[:1] = 0.0 if length > 1 else 1.0

    folded = space.fold_in(places, strength)
    voices = folded.voices_for(space.factors[:20])

    assert voices.shape == (length, 20)
    np.testing.assert_allclose(
        voices.sum(axis=0), space.factors[:20] @ folded.factors, rtol=1e-3, atol=1e-5
    )
    assert length == 1 or not voices[0].any()
