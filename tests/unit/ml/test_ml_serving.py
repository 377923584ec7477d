from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.artefact import describe, pack, unpack
from ml.blend import Blend
from ml.catalogue import align_catalogue, list_products
from ml.content import ContentNeighbours
from ml.dataset import DAY_S
from ml.reasons import likeness, together
from ml.recipe import Recipe
from ml.result import model_arrays
from ml.serving import Model

ROOT = Path(__file__).parents[3]


def fit(interactions, catalogue, recipe, now):
    """Fit a recipe, and serve it from its packed bytes."""
    data = interactions.with_products(list_products(catalogue, interactions.product_ids))
    products = align_catalogue(catalogue, data.product_ids)
    content = ContentNeighbours().fit(products)
    blend = Blend(recipe).fit(data, content, now=now)
    manifest = {"format_version": 1, "recipe": recipe.to_dict()}
    packed = pack(model_arrays(blend, content, products, data.product_ids), manifest)
    manifest = describe(packed, manifest)
    return data, blend, Model(unpack(packed, manifest), manifest)


@pytest.fixture
def model(interactions_of, noon):
    """a and b go together; c is like b; d is popular; nobody met e, of which nothing is known."""
    data = interactions_of(
        *((f"u{n}", product, 1) for n in range(12) for product in "ab"),
        *((f"v{n}", "d", 1) for n in range(30)),
    )
    catalogue = pd.DataFrame(
        {
            "product_id": ["a", "b", "c", "d", "e"],
            "name": ["red hat", "red bag", "blue bag", "umbrella", None],
            "category": ["hat", "bag", "bag", "rain", None],
            "color": ["red", "red", "blue", "black|grey", None],
        }
    )
    return fit(data, catalogue, Recipe(), noon.timestamp())[2]


def ids(recommendations):
    return [item.product_id for item in recommendations]


def test_serving_loads_neither_pandas_nor_scipy_nor_scikit_learn():
    code = (
        "import sys, ml.serving, ml.artefact;"
        "print([name for name in ('pandas', 'scipy', 'sklearn') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_similar_products_come_from_behaviour_then_content_then_popularity(model):
    found = model.similar("b", 10)

    assert [(item.product_id, item.rung, item.reason) for item in found[:2]] == [
        ("a", "behaviour", "12 people showed interest in both"),
        ("c", "content", "same category"),
    ]
    assert "e" not in ids(found)
    assert len(set(ids(found))) == len(found)


def test_one_method_alone_can_be_asked_for(model):
    assert [item.rung for item in model.similar("b", 5, "behaviour")] == ["behaviour"]
    assert {item.rung for item in model.similar("b", 5, "content")} == {"content"}
    assert model.similar("b", 5, "content")[-1].reason == "similar price or rating"
    with pytest.raises(ValueError, match="'magic'"):
        model.similar("b", 5, "magic")


def test_an_unknown_product_has_no_similar_products(model):
    assert model.similar("nowhere", 5) == []


def test_a_product_without_anything_known_gets_popular_ones(model):
    assert [(item.product_id, item.rung) for item in model.similar("e", 1)] == [("d", "popular")]


def test_popular_products_leave_out_what_is_excluded_and_what_nobody_met(model):
    assert ids(model.popular(10)) == ["d", "a", "b"]
    assert ids(model.popular(10, {"d", "nowhere"})) == ["a", "b"]
    assert model.popular(0) == []
    assert model.popular(1)[0].reason == "popular lately"


def test_a_history_speaks_for_its_neighbours_and_says_so(interactions_of, noon, shop):
    recipe = Recipe(popularity_share=0, popularity_prior=0)
    _, _, model = fit(*shop, recipe, noon.timestamp())

    found = model.for_history([("p03", 1.0, 60.0)], 5, {"p03"})

    assert {item.rung for item in found} == {"person"}
    assert {item.reason for item in found} == {"because of your interest in p03"}
    assert all(product_id < "p10" for product_id in ids(found))


def test_an_unknown_or_empty_history_gives_popular_products(model):
    popular = model.popular(3)

    assert model.for_history([], 3) == popular
    assert model.for_history([("nowhere", 1.0, 0.0), ("a", np.nan, 0.0)], 3) == popular
    assert model.for_history([("a", -1.0, 0.0)], 3) == popular


def test_what_is_excluded_is_never_recommended(model):
    found = model.for_history([("a", 1.0, 10.0)], 10, {"a", "d"})

    assert not {"a", "d"} & set(ids(found))
    assert not {"a", "c"} & set(ids(model.similar("b", 10, exclude={"a", "c"})))


def served_parts(model, **statuses):
    """Serve the same arrays under a manifest that says how the parts were judged."""
    parts = {part: {"status": status} for part, status in statuses.items()}
    return Model(model._arrays, {**model.manifest, "parts": parts})


def test_lists_that_were_not_promoted_are_what_is_popular(model):
    judged = served_parts(model, lists="rejected", similar="promoted")

    assert judged.for_history([("a", 1.0, 10.0)], 3, {"d"}) == model.popular(3, {"d"})
    assert judged.similar("b", 5) == model.similar("b", 5)


def test_similar_products_that_were_not_promoted_are_given_only_by_name_of_a_method(model):
    judged = served_parts(model, lists="promoted", similar="rejected")

    assert judged.similar("b", 5) == []
    for method in ("behaviour", "content"):
        assert judged.similar("b", 5, method) == model.similar("b", 5, method) != []
    assert judged.for_history([("a", 1.0, 10.0)], 3) == model.for_history([("a", 1.0, 10.0)], 3)


@pytest.mark.parametrize("half_life_days", [None, 20.0])
def test_serving_scores_as_training_does(shop, noon, half_life_days):
    recipe = Recipe(behaviour_half_life_days=half_life_days, popularity_share=0.2)
    data, blend, model = fit(*shop, recipe, noon.timestamp())
    for person in range(5):
        rows = data.take(data.user == person)
        history = [
            (data.product_ids[product], float(weight), noon.timestamp() - time)
            for product, weight, time in zip(rows.product, rows.weight, rows.time, strict=True)
        ]

        served = model.for_history(history, 30)

        trained = blend.score(np.array([person]))[0]
        expected = dict(zip(data.product_ids, trained.tolist(), strict=True))
        assert [item.score for item in served] == pytest.approx(
            [expected[item.product_id] for item in served], rel=1e-4
        )
        assert [item.score for item in served] == pytest.approx(
            sorted(trained.tolist(), reverse=True)[: len(served)], rel=1e-4
        )


def test_an_older_visit_says_less(model):
    recipe = Recipe(behaviour_half_life_days=1.0).to_dict()
    model.recipe = recipe

    both = model.for_history([("a", 1.0, 0.0), ("c", 1.0, 90 * DAY_S)], 9, {"d"})

    reasons = {item.reason for item in both if item.rung == "person"}
    assert reasons == {"because of your interest in a"}


@pytest.mark.parametrize(
    ("one", "other", "shares_words", "reason"),
    [
        ([0, -1, 4, -1, -1], [0, -1, 4, -1, 2], True, "same category and colour"),
        ([0, 1, 2, -1, -1], [0, 1, 2, -1, -1], True, "same category, gender and colour"),
        ([-1] * 5, [-1] * 5, True, "similar description"),
        ([0, 1, 2, 3, 4], [1, 2, 3, 4, 5], False, "similar price or rating"),
    ],
)
def test_reasons_name_what_two_products_share(one, other, shares_words, reason):
    assert likeness(np.array(one), np.array(other), shares_words) == reason


def test_one_is_a_person_and_two_are_people():
    assert together(1) == "1 person showed interest in both"
    assert together(41) == "41 people showed interest in both"
