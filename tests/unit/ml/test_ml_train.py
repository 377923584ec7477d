from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.artefact import unpack
from ml.budget import Budget
from ml.dataset import build_interactions
from ml.parts import AGAIN, LISTS, NEW, SESSION, SIMILAR
from ml.recipe import Choices, ListWeights, Recipe
from ml.serving import Met, Model
from ml.train import STAGES, train

ROOT = Path(__file__).parents[3]
NOTHING = pd.DataFrame({"product_id": []})
GIGABYTE = 1024**3


@pytest.fixture(scope="module")
def result(lively_shop):
    return train(*lively_shop, now=pd.Timestamp("2026-03-01T12:00Z").to_pydatetime())


def serve(result):
    return Model(unpack(result.artefact, result.manifest), result.manifest)


def rows_of(data):
    return pd.DataFrame(
        {
            "user_id": np.array(data.user_ids)[data.user],
            "product_id": np.array(data.product_ids)[data.product],
            "weight": data.weight,
            "occurred_at": pd.to_datetime(data.time, unit="s", utc=True),
            "bought": data.bought,
            "session_id": [f"s{visit}" if visit >= 0 else None for visit in data.visit],
        }
    )


def test_a_shop_with_tastes_gets_a_model_better_than_popularity(shop, noon):
    result = train(*shop, now=noon)

    assert result.status == "promoted"
    assert result.reason.startswith(
        "Lists of products new to people pass: not worse than recent popul"
    )
    assert set(result.parts) == {NEW, AGAIN, SIMILAR}
    for part in result.parts.values():
        popular = part["baselines"]["recent_popularity"]
        assert part["metrics"]["ndcg_at_10"] > 2 * popular["ndcg_at_10"]
    assert (result.num_products, result.num_interactions) == (41, 1500)
    assert result.num_people_tested == result.parts[NEW]["asked"]
    assert set(result.seconds) == set(STAGES)


def test_the_manifest_is_json_and_its_bytes_can_be_served(result):
    manifest = json.loads(json.dumps(result.manifest, allow_nan=False))

    model = Model(unpack(result.artefact, manifest), manifest)

    assert len(model.for_history([Met("p01", 1.0, 60.0)], 9)) == 9
    assert len(model.popular(10)) == 10
    assert Recipe.from_dict(manifest["recipe"]).to_dict() == manifest["recipe"]
    assert set(manifest["recipe"]["lists"]) == set(result.parts) == set(manifest["parts"])
    assert manifest["reason"] == result.reason
    for part in result.parts.values():
        assert {"ndcg_at_10", "recall_at_10", "mrr", "coverage_at_10"} < set(part["metrics"])
        assert {"popularity", "recent_popularity", "content"} < set(part["baselines"])
        assert set(part["intervals"]) == {
            "ndcg_at_10",
            *(f"ndcg_at_10_minus_{name}" for name in part["baselines"]),
        }


def test_equal_data_and_seed_give_equal_bytes_however_the_rows_came(lively_shop, result, noon):
    data, catalogue = lively_shop
    shuffled = rows_of(data).sample(frac=1, random_state=2)

    again = train(build_interactions(shuffled), catalogue, now=noon)

    assert again.artefact == result.artefact
    assert again.manifest == result.manifest


ELSEWHERE = """
import hashlib, pickle, sys
from ml.train import train
shop, now = pickle.load(sys.stdin.buffer)
print(hashlib.sha256(train(*shop, now=now).artefact).hexdigest())
"""


def test_another_process_gives_the_same_bytes(lively_shop, result, noon):
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "77"},
        input=pickle.dumps((lively_shop, noon)),
        capture_output=True,
        check=True,
    )

    assert done.stdout.decode().strip() == hashlib.sha256(result.artefact).hexdigest()


@pytest.mark.parametrize("name", ["shop", "lively_shop", "session_shop"])
def test_what_happens_in_the_test_window_changes_no_choice_and_no_weight(name, request, noon):
    data, catalogue = request.getfixturevalue(name)
    honest = train(data, catalogue, now=noon)
    cut = pd.Timestamp(honest.manifest["window"]["test_from"]).timestamp()
    after = (data.time >= cut) & (data.time < data.time.max())
    random = np.random.default_rng(0)
    absurd = data.product.copy()
    absurd[after] = random.permutation(np.where(after, data.product, 0)[after])
    weight = np.where(after, 1e6, data.weight).astype(np.float32)

    result = train(replace(data, product=absurd, weight=weight), catalogue, now=noon)

    assert set(result.parts) == set(honest.parts)
    assert json.dumps(result.manifest["recipe"]) == json.dumps(honest.manifest["recipe"])
    assert result.metrics != honest.metrics


def test_a_habit_that_only_the_test_window_shows_is_not_known_to_what_is_judged(session_shop, noon):
    data, catalogue = session_shop
    honest = train(data, catalogue, now=noon)
    cut = pd.Timestamp(honest.manifest["window"]["test_from"]).timestamp()
    _, at = np.unique(data.user[data.time >= cut], return_inverse=True)
    step = pd.Series(at).groupby(at).cumcount().to_numpy()
    habit = data.product.copy()
    # From group to group, which nobody did before; each visit begins with another group.
    habit[data.time >= cut] = at % 10 + 10 * ((at // 10 + step) % 4)

    result = train(replace(data, product=habit), catalogue, now=noon)

    for name in (SESSION, SIMILAR):
        assert honest.parts[name]["metrics"]["ndcg_at_10"] > 0.4
        assert result.parts[name]["metrics"]["ndcg_at_10"] < 0.1


def test_the_champions_recipe_is_judged_by_the_same_questions(lively_shop, result, noon):
    again = train(
        *lively_shop,
        now=noon,
        champion_recipe=result.manifest["recipe"],
        champion_parts={name: {"status": "promoted"} for name in LISTS},
    )

    assert set(again.parts) == set(result.parts)
    for part in again.parts.values():
        assert part["baselines"]["champion"] == part["metrics"]
        assert part["intervals"]["ndcg_at_10_minus_champion"] == (0, 0, 0)
        assert "not more than 2 % below the champion's recipe" in part["reason"]


def test_the_candidate_is_held_to_what_the_champion_serves(lively_shop, result, noon):
    served, *others = result.parts

    again = train(
        *lively_shop,
        now=noon,
        champion_recipe=result.manifest["recipe"],
        champion_parts={served: {"status": "promoted"}},
    )

    assert "the champion's recipe" in again.parts[served]["reason"]
    for name in others:
        assert "champion" not in again.parts[name]["reason"]


def test_a_champion_of_another_version_is_not_compared_and_this_is_said(shop, noon):
    again = train(*shop, now=noon, champion_recipe={"layers": 12}, champion_parts=["new"])

    assert again.status == "promoted"
    assert "Not compared with the champion: not a recipe of format" in again.reason


def test_a_champion_of_a_time_with_purchases_is_judged_where_there_are_none(shop, noon):
    bought = ListWeights({"own_bought": (1.0, 0.0)}, {"trend_bought_30": (1.0, 0.0)})
    champion = Recipe(Choices(rp3_beta=0.1), {AGAIN: bought, SIMILAR: bought})

    result = train(*shop, now=noon, champion_recipe=champion.to_dict())

    assert result.status == "promoted"
    assert result.parts[AGAIN]["baselines"]["champion"]["ndcg_at_10"] < 0.2


def test_each_stage_is_told_and_the_share_that_is_done_never_falls(lively_shop, noon):
    told = []

    train(*lively_shop, now=noon, progress=lambda stage, share: told.append((stage, share)))

    stages, shares = zip(*told, strict=True)
    assert shares == tuple(sorted(shares))
    assert 0 <= shares[0] <= shares[-1] <= 1
    assert [stage for stage in stages if ":" not in stage] == list(STAGES)
    assert {"tune: popularity", "tune: weights", "tune: ease"} <= set(stages)


def test_a_training_that_may_take_no_time_still_ends_with_a_model(lively_shop, result, noon):
    hurried = train(*lively_shop, now=noon, budget=Budget(0.001, GIGABYTE))

    assert hurried.status in ("promoted", "rejected")
    assert set(hurried.parts) == set(result.parts)
    assert len(serve(hurried).popular(5)) == 5


def test_what_happens_after_now_is_left_out(lively_shop, noon):
    past = noon - timedelta(days=20)

    result = train(*lively_shop, now=past)

    assert result.num_interactions == int((lively_shop[0].time <= past.timestamp()).sum())
    assert result.manifest["window"]["last_interaction"] <= past.isoformat()


def test_a_time_without_a_zone_is_refused(shop, noon):
    with pytest.raises(ValueError, match="time zone"):
        train(*shop, now=noon.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "0 interactions"),
        ([("u", f"p{n % 9}", n) for n in range(99)], "1 person,"),
        ([(f"u{n % 9}", "p", n) for n in range(99)], "1 product met,"),
        ([(f"u{n % 9}", f"p{n % 2}", n) for n in range(99)], "2 products met"),
        ([(f"u{n % 9}", f"p{n % 7}", 1) for n in range(99)], "There is nothing to judge by"),
        ([(f"u{n % 9}", f"p{n % 7}", n, -1.0) for n in range(99)], "There is nothing to judge by"),
        ([(f"u{n % 9}", f"p{n % 7}", -n - 1) for n in range(99)], "0 interactions"),
        ([(f"u{n}", f"p{n % 9}", n / 10) for n in range(300)], "There is nothing to judge by"),
    ],
    ids=["none", "one user", "one product", "two products", "one moment", "nothing liked",
         "all in the future", "nobody comes back"],
)  # fmt: skip
def test_too_little_to_learn_from_is_skipped_with_a_reason(interactions_of, noon, rows, reason):
    result = train(interactions_of(*rows), NOTHING, now=noon)

    assert result.status == "skipped"
    assert reason in result.reason
    assert (result.artefact, result.manifest) == (None, {})


def everybody_met_everything():
    return [(f"u{n:02d}", f"p{m}", 30 * n / 40 + m / 1000) for n in range(40) for m in range(8)] * 2


def within_one_day():
    random = np.random.default_rng(3)
    return [
        (f"u{random.integers(30)}", f"p{random.integers(20)}", float(random.random()))
        for _ in range(600)
    ]


def within_a_day_and_a_half():
    return [(user, product, 1.5 * days) for user, product, days in within_one_day()]


def one_purchase_a_week():
    """Every interaction has the time of its day alone, and five products make an order."""
    random = np.random.default_rng(3)
    return [
        (f"u{person}", f"p{product}", float(7 * week))
        for person in range(40)
        for week in range(9)
        for product in random.choice(30, 5, replace=False)
    ]


@pytest.mark.parametrize(
    "make",
    [everybody_met_everything, within_one_day, within_a_day_and_a_half, one_purchase_a_week],
)
def test_odd_shops_come_to_a_clear_state(interactions_of, noon, make):
    result = train(interactions_of(*make()), NOTHING, now=noon)

    assert result.status in ("promoted", "rejected", "skipped")
    assert result.reason
    assert (result.artefact is None) == (result.status == "skipped")
    if result.artefact:
        assert np.isfinite([item.score for item in serve(result).popular(5)]).all()


SCRIPTS = ["сумка", "鞄", "थैला", "حقيبة", "bag", "", None]


def test_garbage_among_good_rows_is_trained_on_without_harm(lively_shop, noon):
    data, _ = lively_shop
    ids = [*data.product_ids, "p00", None, "p99"]
    many = len(ids)
    catalogue = pd.DataFrame(
        {
            "product_id": ids,
            "name": (SCRIPTS * many)[:many],
            "price": [None] * many,
            "avg_rating": [np.nan, np.inf, -3.0, 1e300, "five"] * (many // 5) + [0] * (many % 5),
            "review_count": ["many"] * many,
        }
    )
    good = rows_of(data)
    bot = pd.concat([good.head(1).assign(user_id="bot", session_id=None)] * 100_000)
    bad = good.head(6).assign(
        user_id=["x", None, "x", "x", "x", "x"],
        weight=[np.nan, 1.0, np.inf, -np.inf, 3e38, 1e-30],
        occurred_at=[noon, noon, noon, noon, pd.NaT, noon - timedelta(days=9)],
    )
    future = good.head(3).assign(occurred_at=pd.Timestamp("2100-01-01", tz="UTC"))
    frame = pd.concat([good, bot, bad, future, good.head(50)], ignore_index=True)

    result = train(build_interactions(frame), catalogue, now=noon)

    assert result.status in ("promoted", "rejected")
    assert result.num_interactions == len(data) + 100_000 + 1 + 50
    assert result.num_products == 25
    model = serve(result)
    for options in ({}, {"again": True}, {"session": True}):
        found = model.for_history([Met("p00", 1.0, 0.0), Met("p99", 1e300, 1.0)], 99, **options)
        assert np.isfinite([item.score for item in found]).all()


def test_an_empty_catalogue_is_no_hindrance(lively_shop, noon):
    result = train(lively_shop[0], NOTHING, now=noon)

    assert result.status == "promoted"
    assert result.num_products == 24


def test_ratings_of_all_time_are_served_and_not_judged_by(session_shop, noon):
    data, catalogue = session_shop
    number = np.arange(len(catalogue))
    by_group = catalogue.assign(name="bag", avg_rating=1.0 + number // 10)
    by_place = catalogue.assign(name="bag", avg_rating=1.0 + number % 5)

    one, other = train(data, by_group, now=noon), train(data, by_place, now=noon)

    assert one.parts == other.parts
    assert one.artefact != other.artefact
