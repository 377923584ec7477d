from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from ml.artefact import unpack
from ml.catalogue import align_catalogue
from ml.content import ContentNeighbours
from ml.dataset import DAY_S, build_interactions
from ml.recipe import Recipe, RecipeError
from ml.serving import Model
from ml.train import train
from ml.tune import tune

NOTHING = pd.DataFrame({"product_id": []})


@pytest.fixture(scope="module")
def result(shop):
    return train(*shop, now=pd.Timestamp("2026-03-01T12:00Z").to_pydatetime())


def test_a_shop_with_tastes_gets_a_model_better_than_popularity(result):
    assert result.status == "promoted"
    assert result.reason.startswith("Lists for people pass: not worse than recent popularity")
    assert "Similar products pass: not worse than recent popularity" in result.reason
    assert result.metrics["ndcg_at_10"] > result.baselines["recent_popularity"]["ndcg_at_10"]
    assert set(result.baselines) == {"popularity", "recent_popularity", "content", "behaviour"}
    assert (result.num_products, result.num_interactions) == (41, 1500)
    assert 0 < result.num_people_tested <= 60
    assert 0 < result.num_questions_tested <= 60
    assert set(result.similar_baselines) == {"recent_popularity", "content", "behaviour"}
    assert set(result.similar_intervals) == {
        "ndcg_at_10",
        *(f"ndcg_at_10_minus_{name}" for name in result.similar_baselines),
    }
    assert set(result.seconds) == {"content", "tune", "evaluate", "refit", "pack"}


def test_the_manifest_is_json_and_its_bytes_can_be_served(result):
    manifest = json.loads(json.dumps(result.manifest, allow_nan=False))

    model = Model(unpack(result.artefact, manifest), manifest)

    assert len(model.similar("p03", 10)) == 10
    assert len(model.popular(10)) == 10
    assert Recipe.from_dict(manifest["recipe"]).to_dict() == manifest["recipe"]
    assert manifest["reason"] == result.reason
    assert manifest["parts"] == result.parts
    assert {part: judged["status"] for part, judged in result.parts.items()} == {
        "lists": "promoted",
        "similar": "promoted",
    }


def test_the_same_data_and_seed_give_the_same_bytes(shop, result, noon):
    again = train(*shop, now=noon)

    assert again.artefact == result.artefact
    assert again.manifest == result.manifest


def test_the_champions_recipe_is_judged_too(shop, result, noon):
    again = train(*shop, now=noon, champion_recipe=result.manifest["recipe"])

    assert again.baselines["champion"] == again.metrics
    assert "not more than 2 % below the champion's recipe" in again.reason
    assert again.intervals["ndcg_at_10_minus_champion"] == (0, 0, 0)


def test_a_champion_of_another_version_is_not_compared_and_this_is_said(shop, noon):
    again = train(*shop, now=noon, champion_recipe={"layers": 12})

    assert again.status == "promoted"
    assert "Not compared with the champion" in again.reason


@pytest.mark.parametrize(("served", "not_served"), [("lists", "similar"), ("similar", "lists")])
def test_the_candidate_is_held_to_what_the_champion_serves(shop, result, noon, served, not_served):
    recipe = result.manifest["recipe"]

    again = train(
        *shop, now=noon, champion_recipe=recipe, champion_parts={served: {"status": "promoted"}}
    )

    assert "the champion's recipe" in again.parts[served]["reason"]
    assert "champion" not in again.parts[not_served]["reason"]


@pytest.fixture(scope="module")
def fickle(shop, result):
    """The shop, but in the test window everybody has the taste of another group."""
    data, catalogue = shop
    after = data.time >= pd.Timestamp(result.manifest["window"]["test_from"]).timestamp()
    product = np.where(after, (data.product + 10) % 40, data.product).astype(np.int32)
    return replace(data, product=product), catalogue


def test_similar_products_are_promoted_where_lists_for_people_are_not(fickle, noon):
    result = train(*fickle, now=noon)

    model = Model(unpack(result.artefact, result.manifest), result.manifest)
    assert result.status == result.manifest["status"] == "promoted"
    assert "Lists for people do not pass: worse than recent popularity" in result.reason
    assert "Similar products pass" in result.reason
    assert result.parts["lists"]["status"] == "rejected"
    assert result.parts["lists"]["difference"] < 0 < result.parts["similar"]["difference"]
    assert model.for_history([("p03", 1.0, 0.0)], 5) == model.popular(5)
    assert model.similar("p03", 5)[0].rung == "behaviour"


def test_a_champion_whose_lists_are_good_is_kept_and_one_that_serves_none_is_not(fickle, noon):
    recipe = train(*fickle, now=noon).manifest["recipe"] | {"popularity_share": 1.0}
    no_lists = {"lists": {"status": "rejected"}, "similar": {"status": "promoted"}}

    kept = train(*fickle, now=noon, champion_recipe=recipe)
    replaced = train(*fickle, now=noon, champion_recipe=recipe, champion_parts=no_lists)

    assert (kept.status, replaced.status) == ("rejected", "promoted")
    assert kept.reason.endswith("The champion stays, since its lists for people would be lost.")
    assert kept.artefact == replaced.artefact


def test_each_stage_is_told_as_it_begins(shop, noon):
    told = []

    train(*shop, now=noon, progress=told.append)

    assert told == ["content", "tune", "evaluate", "refit", "pack"]


def test_what_people_are_asked_for_can_be_said_instead_of_found_out(shop, noon):
    windows = [
        train(*shop, now=noon, exclude_seen=seen).manifest["window"] for seen in (False, True)
    ]

    assert [window["exclude_seen"] for window in windows] == [False, True]


def test_what_happens_after_now_is_left_out(shop, noon):
    past = noon - timedelta(days=20)

    result = train(*shop, now=past)

    assert result.num_interactions == int((shop[0].time <= past.timestamp()).sum())
    assert result.manifest["window"]["last_interaction"] <= past.isoformat()


def test_interactions_of_the_test_window_do_not_change_the_recipe(shop, result, noon):
    data, catalogue = shop
    cut = pd.Timestamp(result.manifest["window"]["test_from"]).timestamp()
    last = data.time == data.time.max()
    after = (data.time >= cut) & ~last
    shuffled = data.product.copy()
    shuffled[after] = np.random.default_rng(0).permutation(shuffled[after])

    other = train(replace(data, product=shuffled), catalogue, now=noon)

    assert other.manifest["recipe"] == result.manifest["recipe"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "0 interactions"),
        ([("u", f"p{n % 9}", n) for n in range(99)], "1 people"),
        ([(f"u{n % 9}", "p", n) for n in range(99)], "1 products met"),
    ],
)
def test_too_little_data_is_skipped_with_a_reason(interactions_of, noon, rows, reason):
    result = train(interactions_of(*rows), NOTHING, now=noon)

    assert result.status == "skipped"
    assert reason in result.reason
    assert result.artefact is None


def test_when_nobody_comes_back_training_is_skipped(interactions_of, noon):
    data = interactions_of(*((f"u{n}", f"p{n % 9}", n / 10) for n in range(300)))

    result = train(data, NOTHING, now=noon)

    assert result.status == "skipped"
    assert "no known person came back" in result.reason


def test_garbage_is_trained_on_without_harm(shop, noon):
    data, _ = shop
    catalogue = pd.DataFrame(
        {
            "product_id": [*data.product_ids, "p00", None],
            "name": ["сумка", "鞄", "थैला", "حقيبة", "bag", "", None] * 6,
            "price": [None] * 42,
            "avg_rating": [np.nan] * 42,
        }
    )
    bot = pd.DataFrame(
        {
            "user_id": ["bot"] * 2,
            "product_id": ["p00", "p01"],
            "weight": [1e6, np.inf],
            "occurred_at": [pd.Timestamp(noon)] * 2,
        }
    )
    frame = pd.concat([bot, rows_of(data)], ignore_index=True)

    result = train(build_interactions(frame), catalogue, now=noon)

    assert result.status in ("promoted", "rejected")
    assert result.num_interactions == len(data) + 1


def test_of_very_many_people_some_are_drawn_for_tuning_by_the_seed(interactions_of, noon):
    random = np.random.default_rng(3)
    data = interactions_of(
        *((f"u{n}", f"p{random.integers(12)}", day) for n in range(2500) for day in (9, 8, 3, 2))
    )
    catalogue = align_catalogue(NOTHING, data.product_ids)
    content = ContentNeighbours().fit(catalogue)
    cut = noon.timestamp()

    recipes = [tune(data, content, cut=cut, window_s=5 * DAY_S, seed=1) for _ in range(2)]

    assert recipes[0] == recipes[1]


def test_with_few_people_the_default_recipe_is_kept(known_matrix, noon):
    content = ContentNeighbours().fit(align_catalogue(NOTHING, known_matrix.product_ids))

    recipe = tune(known_matrix, content, cut=noon.timestamp() + 1, window_s=DAY_S)

    assert recipe == Recipe()


def test_a_time_without_a_zone_is_refused(shop, noon):
    with pytest.raises(ValueError, match="time zone"):
        train(*shop, now=noon.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"popularity_share": 1.5}, "popularity_share must be <= 1, got 1.5"),
        ({"behaviour_neighbours": 0}, "behaviour_neighbours must be >= 1"),
        ({"behaviour_neighbours": 2.5}, "whole number"),
        ({"content_weight": -1}, "content_weight must be >= 0"),
        ({"content_weight": "1"}, "must be a number"),
        ({"popularity_half_life_days": 0}, "must be > 0"),
        ({"popularity_prior": float("nan")}, "finite"),
        ({"more": 1}, "unknown or missing"),
    ],
)
def test_impossible_recipes_are_refused(change, match):
    with pytest.raises(RecipeError, match=match):
        Recipe.from_dict(Recipe().to_dict() | change)


def rows_of(data):
    return pd.DataFrame(
        {
            "user_id": np.array(data.user_ids)[data.user],
            "product_id": np.array(data.product_ids)[data.product],
            "weight": data.weight,
            "occurred_at": pd.to_datetime(data.time, unit="s", utc=True),
        }
    )
