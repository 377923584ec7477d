from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from ml.dataset import build_interactions
from ml.layout import ArtefactError
from ml.parts import AGAIN, LISTS, NEW, SESSION, SIMILAR
from ml.ranking import top_k
from ml.reasons import likeness, together
from ml.recipe import Choices, ListWeights, Recipe, RecipeError
from ml.serving import Met, Model
from ml.similar import rank_similar
from ml.splits.split import met_matrix

ROOT = Path(__file__).parents[3]
NEIGHBOURS = ListWeights({"knn_months": (1.0, 0.0)})


@pytest.fixture(scope="module")
def few(serve):
    """a and b go together; c is like b; d is popular; nobody met e, of which nothing is known."""
    now = pd.Timestamp("2026-03-01T12:00Z")
    rows = [(f"u{n}", product, 1) for n in range(12) for product in "ab"]
    rows += [(f"v{n}", "d", 1) for n in range(30)]
    frame = pd.DataFrame(rows, columns=["user_id", "product_id", "days"])
    age = pd.to_timedelta(frame.pop("days"), unit="D")
    data = build_interactions(frame.assign(weight=1.0, occurred_at=now - age))
    catalogue = pd.DataFrame(
        {
            "product_id": ["a", "b", "c", "d", "e"],
            "name": ["red hat", "red bag", "blue bag", "umbrella", None],
            "category": ["hat", "bag", "bag", "rain", None],
            "color": ["red", "red|white", "blue", "black", None],
        }
    )
    recipe = Recipe(Choices(), dict.fromkeys(LISTS, NEIGHBOURS))
    return serve((data, catalogue), recipe)


@pytest.fixture(scope="module")
def model(few):
    return few.model


def ids(recommendations):
    return [item.product_id for item in recommendations]


def ids_of(history):
    return [line.product_id for line in history]


def judged(served, **statuses):
    """Serve the same arrays under a manifest that says how the lists were judged."""
    parts = {name: {"status": status} for name, status in statuses.items()}
    return Model(served.arrays, {**served.manifest, "parts": parts})


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

    assert [(item.product_id, item.rung, item.reason) for item in found] == [
        ("a", "behaviour", "12 people showed interest in both"),
        ("c", "content", "same category"),
        ("d", "content", "similar price or rating"),
    ]
    assert [(item.product_id, item.rung) for item in model.similar("e", 1)] == [("d", "popular")]
    assert ids(model.similar("b", 10, exclude={"a", "d"})) == ["c"]
    assert model.similar("nowhere", 5) == []
    assert model.similar("b", 0) == []


def test_one_method_alone_can_be_asked_for(model):
    assert [item.rung for item in model.similar("b", 5, "behaviour")] == ["behaviour"]
    assert {item.rung for item in model.similar("b", 5, "content")} == {"content"}
    with pytest.raises(ValueError, match="'magic'"):
        model.similar("b", 5, "magic")


def test_similar_products_are_served_in_the_order_that_is_judged(served):
    product_ids = served.data.product_ids
    every = np.arange(len(product_ids), dtype=np.int32)

    scores = rank_similar(
        every, (served.similar.index, served.content.index_), served.sources.popularity
    )

    scores[every, every] = -np.inf
    top, _ = top_k(scores, len(every))
    for place, product_id in enumerate(product_ids):
        found = ids(served.model.similar(product_id, len(every)))
        assert found == [product_ids[at] for at in top[place] if at >= 0]


def test_the_people_of_a_reason_are_those_who_met_both(served):
    met = met_matrix(served.data).toarray()
    place = served.data.product_ids.index

    for item in served.model.similar("p03", 40, "behaviour"):
        both = met[:, place("p03")] & met[:, place(item.product_id)]
        assert item.reason == together(int(both.sum()))


def test_popular_products_leave_out_what_is_excluded_and_what_nobody_met(model):
    assert ids(model.popular(10)) == ["d", "a", "b"]
    assert ids(model.popular(10, {"d", "nowhere"})) == ["a", "b"]
    assert model.popular(0) == model.popular(-1) == []
    assert model.popular(1)[0].reason == "popular lately"


def test_a_reason_names_the_product_of_the_history_that_speaks_loudest(serve, lively_shop):
    one = serve(lively_shop, Recipe(Choices(), {NEW: NEIGHBOURS}))
    table = one.sources.narrowed().tables["knn"].table_matrix().toarray()
    place = one.data.product_ids.index
    history = [Met("p01", 5.0, 60.0, True), Met("p09", 1.0, 9e5), Met("p17", 1.0, 5e6)]
    strength = [np.log1p(line.weight * 0.5 ** (line.age_s / 60 / 86_400)) for line in history]

    found = one.model.for_history(history, 29)

    reasoned = [item for item in found if item.rung == "person"]
    known = [item for item in reasoned if place(item.product_id) < 24]
    assert len(known) > 15
    assert {item.because for item in known} == {"p01", "p09", "p17"}
    for item in known:
        voices = [
            told * table[place(line.product_id), place(item.product_id)]
            for told, line in zip(strength, history, strict=True)
        ]
        assert item.because == history[int(np.argmax(voices))].product_id
        assert item.reason == f"because of your interest in {item.because}"
    assert {item.because for item in found if item.rung == "popular"} <= {None}


def test_factors_speak_through_the_product_that_adds_most_to_a_score(serve, lively_shop):
    one = serve(lively_shop, Recipe(Choices(), {NEW: ListWeights({"factors_all": (1.0, 0.0)})}))
    learned, place = one.sources.factors, one.data.product_ids.index
    history = [Met("p01", 5.0, 60.0), Met("p09", 1.0, 9e5), Met("p17", 1.0, 5e6)]
    strength = np.zeros((1, 29), np.float32)
    for line in history:
        strength[0, place(line.product_id)] = np.log1p(line.weight)
    whole = learned.transform(strength)[0]

    found = one.model.for_history(history, 29)

    known = [item for item in found if item.rung == "person" and place(item.product_id) < 24]
    assert {item.because for item in known} == {"p01", "p09", "p17"}
    met = learned.item_factors_[[place(line.product_id) for line in history]]
    weight = strength[0, [place(line.product_id) for line in history]]
    ridge = learned._ridge(csr_array(strength))[0]
    left = learned.gram_ + (met.T * weight) @ met + ridge * np.eye(learned.num_factors)
    parts = learned.item_factors_ @ np.linalg.solve(left, met.T * weight)
    assert parts.sum(axis=1) == pytest.approx(whole, abs=1e-4)
    for item in known:
        own = parts[place(item.product_id)]
        assert own[ids_of(history).index(item.because)] == pytest.approx(own.max(), abs=1e-3)


def test_a_product_nobody_met_is_there_for_the_reason_of_what_it_is_like(serve, lively_shop):
    one = serve(lively_shop, Recipe(Choices(), {NEW: NEIGHBOURS}))

    found = {item.product_id: item for item in one.model.for_history([Met("p01", 1.0, 60.0)], 29)}

    assert (found["p24"].rung, found["p24"].because) == ("person", "p01")


def test_each_list_says_its_rung(served):
    history = [Met("p01", 1.0, 60.0), Met("p02", 1.0, 9e5)]

    again = {item.product_id: item for item in served.model.for_history(history, 29, again=True)}
    session = served.model.for_history(history, 29, session=True)

    assert (again["p01"].rung, again["p01"].reason) == ("again", "you showed interest in it before")
    assert {item.rung for item in again.values()} <= {"again", "person", "popular"}
    assert {item.rung for item in session} <= {"session", "popular"}
    assert {item.because for item in session} <= {"p01", None}
    assert "p02" in ids(session)
    assert {"p01", "p02"}.isdisjoint(ids(served.model.for_history(history, 29)))


@pytest.mark.parametrize("history", [[], [Met("gone", 1.0, 0.0)], [Met("a", -1.0, 0.0)]])
def test_who_is_unknown_gets_popular_products(model, history):
    assert model.for_history(history, 3, again=True) == model.popular(3)


def test_lists_that_were_not_promoted_give_way_to_another_or_to_what_is_popular(served):
    history = [Met("p01", 1.0, 10.0)]
    none = judged(served, new="rejected", similar="promoted")
    new = judged(served, new="promoted", again="rejected")

    assert none.for_history(history, 5) == served.model.popular(5, {"p01"})
    assert none.for_history(history, 5, {"p00"}, again=True) == served.model.popular(5, {"p00"})
    assert new.for_history(history, 5, again=True) == served.model.for_history(history, 5)
    assert new.for_history(history, 5, session=True) == served.model.for_history(history, 5)
    assert (served.model.has_again, new.has_again) == (True, False)


def test_similar_products_that_were_not_promoted_are_given_only_by_name_of_a_method(few, model):
    silent = judged(few, new="promoted", similar="rejected")

    assert silent.similar("b", 5) == []
    for method in ("behaviour", "content"):
        assert silent.similar("b", 5, method) == model.similar("b", 5, method) != []


def test_products_are_like_themselves_and_like_others_both_ways(served):
    alike = served.model.likeness(["p00", "gone", "p01", "p28", "p08", "p00"])

    assert alike.shape == (6, 6)
    assert (alike == alike.T).all()
    assert ((alike >= 0) & (alike <= 1)).all()
    assert alike.diagonal().tolist() == [1, 0, 1, 1, 1, 1]
    assert alike[0, 5] == 1
    assert (alike[1] == 0).all()
    assert alike[0, 2] > alike[0, 4]
    assert served.model.likeness([]).shape == (0, 0)


def test_products_that_share_one_of_several_values_are_alike_in_that_attribute(model):
    alike = model.likeness(["a", "b", "c", "d"])

    # a and b: colour of two attributes; b and c: category of two.
    assert alike[0, 1] == alike[1, 2] == 0.5
    assert alike[0, 3] == 0


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
    assert together(1) == "popular with the same people"
    assert together(41) == "41 people showed interest in both"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1e300, 10**400, float("nan"), float("inf"), "\ud800", "promoted"])
    | st.sampled_from(LISTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["signals", "trends", "status", "ease_all", "x"]), inner)
    ),
    max_leaves=4,
)


def places_of(value, path=()):
    """Yield the path of everything in nested dicts and lists."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_of(inner, (*path, key))


@settings(max_examples=200)
@given(data=st.data())
def test_a_manifest_changed_anywhere_is_refused_or_served(served, data):
    manifest = json.loads(json.dumps(served.manifest))
    *path, last = data.draw(st.sampled_from([path for path in places_of(manifest) if path]))
    parent = manifest
    for key in path:
        parent = parent[key]
    parent[last] = data.draw(JSON)

    try:
        model = Model(served.arrays, manifest)
    except ArtefactError:
        return
    with np.errstate(all="raise", under="ignore"):
        for options in ({}, {"again": True}, {"session": True}):
            found = model.for_history([Met("p01", 5.0, 60.0, True)], 29, **options)
            assert np.isfinite([item.score for item in found]).all()


@pytest.mark.parametrize("manifest", [{}, {"recipe": None}, {"recipe": {"format": 1}}, None, []])
def test_a_manifest_without_a_recipe_of_this_version_is_refused(served, manifest):
    with pytest.raises(ArtefactError, match="no recipe of this version"):
        Model(served.arrays, manifest)


@pytest.mark.parametrize("missing", ["ease", "factors", "trend_new", "sequences"])
def test_a_recipe_whose_arrays_are_missing_is_refused(served, missing):
    arrays = {k: v for k, v in served.arrays.items() if not k.startswith(missing)}

    with pytest.raises(ArtefactError, match=f"needs arrays that are not there: .*{missing}"):
        Model(arrays, served.manifest)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"weight_exponent": -1}, "weight_exponent must be >= 0, got -1"),
        ({"weight_exponent": 5}, "weight_exponent must be <= 4.0, got 5"),
        ({"ease_regularisation": 0}, "ease_regularisation must be > 0, got 0"),
        ({"rp3_beta": "1"}, "rp3_beta must be a number, got '1'"),
        ({"rp3_beta": True}, "must be a number"),
        ({"rp3_beta": 10**400}, "rp3_beta must be finite"),
        ({"popularity_half_life_days": float("nan")}, "must be finite"),
        ({"knn_metric": "dice"}, "knn_metric must be one of"),
        ({"more": 1}, "unknown or missing names in choices"),
    ],
)
def test_impossible_choices_are_refused(change, match):
    recipe = Recipe().to_dict()

    with pytest.raises(RecipeError, match=match):
        Recipe.from_dict(recipe | {"choices": recipe["choices"] | change})


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ({"signals": {"magic": [1, 0]}, "trends": {}}, "unknown signal 'magic'"),
        ({"signals": {}, "trends": {"ease_all": [1, 0]}}, "unknown trend 'ease_all'"),
        ({"signals": {"ease_all": [1]}, "trends": {}}, "must have two weights"),
        ({"signals": {"ease_all": [1, float("inf")]}, "trends": {}}, "must be finite"),
        ({"signals": []}, "unknown or missing names in new"),
        ({"signals": [], "trends": {}}, "must be an object"),
        (None, "must be an object"),
    ],
)
def test_impossible_weights_are_refused(weights, match):
    with pytest.raises(RecipeError, match=match):
        Recipe.from_dict(Recipe().to_dict() | {"lists": {NEW: weights}})


def test_a_recipe_survives_its_manifest(served):
    data = json.loads(json.dumps(served.manifest["recipe"]))

    assert Recipe.from_dict(data) == served.recipe
    assert set(data["lists"]) == {NEW, AGAIN, SESSION, SIMILAR}
    with pytest.raises(RecipeError, match="unknown lists"):
        Recipe.from_dict(data | {"lists": {"other": {"signals": {}, "trends": {}}}})
