"""Products that nobody met: in the order of their kin, or of their words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from ml.artefact import unpack
from ml.contest import SERVED, contestants
from ml.dataset import DAY_S, build_interactions
from ml.evaluate import evaluate
from ml.layout import ArtefactError, check_content, check_names
from ml.parts import AGAIN, NEW
from ml.recipe import Choices, Recipe
from ml.scoring import ListScorer, SignalScorer
from ml.serving import Met, Model
from ml.splits import ColdProducts, TimeWindow
from ml.splits.split import met_matrix
from ml.train import train
from ml.unmet import order_by_words

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRODUCTS, WORDS, PEOPLE = 150, 24, 500


@pytest.fixture(scope="module")
def wordy_shop():
    """People like two words each, and meet products that have them; twenty nobody met yet."""
    random = np.random.default_rng(3)
    words = np.array([random.choice(WORDS, 3, replace=False) for _ in range(PRODUCTS)])
    has = np.zeros((PRODUCTS, WORDS))
    has[np.arange(PRODUCTS)[:, None], words] = 1
    rows = []
    for person in range(PEOPLE):
        liked = np.zeros(WORDS)
        liked[random.choice(WORDS, 2, replace=False)] = 1
        share = np.exp(3 * has @ liked)
        share[-20:] = 0
        for product in random.choice(PRODUCTS, 8, p=share / share.sum()):
            age = float(random.uniform(0, 40))
            rows.append((f"u{person}", f"p{product:03d}", NOON - pd.Timedelta(days=age), 1.0))
    frame = pd.DataFrame(rows, columns=["user_id", "product_id", "occurred_at", "weight"])
    ids = [f"p{number:03d}" for number in range(PRODUCTS)]
    names = [" ".join(f"word{word}" for word in its) for its in words]
    return build_interactions(frame), pd.DataFrame({"product_id": ids, "name": names})


@pytest.fixture(scope="module")
def by_words(lively_shop, every_signal, serve):
    """The lively shop, served by every signal, products that nobody met by their words."""
    return serve(lively_shop, replace(every_signal, choices=Choices(unmet_order="words")))


def hold_contest(shop):
    data, catalogue = shop
    inner = TimeWindow(data.time.max() - 10 * DAY_S, window_s=10 * DAY_S)
    split = ColdProducts(inner, share=0.2).split(data)
    contest = contestants(split, catalogue, seed=0, progress=lambda stage, share: None)
    return contest, {name: evaluate(scorer, split).ndcg for name, scorer in contest.scorers.items()}


def test_scores_stay_and_the_most_alike_get_the_largest():
    scores = np.array([[0.5, 3.0, -1.0, 2.0], [0.5, 3.0, -1.0, 2.0], [1.0, 2.0, 3.0, 4.0]])
    likeness = np.array([[0.0, 0.2, 0.4, 0.3], [0.0, 0.3, 0.6, 0.3 + 1e-9], [0.0] * 4])

    ordered = order_by_words(scores, likeness)

    assert ordered.tolist() == [[-1.0, 0.5, 3.0, 2.0], [-1.0, 2.0, 3.0, 0.5], [1.0, 2.0, 3.0, 4.0]]
    assert order_by_words(np.zeros((2, 0)), np.zeros((2, 0))).shape == (2, 0)


def test_where_words_decide_what_people_like_they_put_new_products_in_order(wordy_shop):
    contest, ndcg = hold_contest(wordy_shop)

    assert contest.recipe.choices.unmet_order == "words"
    assert ndcg[SERVED].mean() > 0.95 * max(ndcg["words"].mean(), ndcg["content"].mean())


def test_where_words_decide_nothing_the_kin_stay(wordy_shop):
    data, catalogue = wordy_shop
    shuffled = catalogue["name"].sample(frac=1, random_state=0).to_numpy()

    contest, _ = hold_contest((data, catalogue.assign(name=shuffled)))

    assert contest.recipe.choices.unmet_order == "kin"


def test_a_training_chooses_words_and_serves_them(wordy_shop):
    result = train(*wordy_shop, now=NOON)

    assert result.manifest["recipe"]["choices"]["unmet_order"] == "words"
    model = Model(unpack(result.artefact, result.manifest), result.manifest)
    catalogue = wordy_shop[1].set_index("product_id")["name"]
    new = set(catalogue.index[-20:])
    liked = [Met(f"p{number:03d}", 1.0, 60.0) for number in range(3)]
    listed = [
        item.product_id for item in model.for_history(liked, PRODUCTS) if item.product_id in new
    ]
    told = {word for line in liked for word in catalogue[line.product_id].split()}
    shared = [len(told & set(catalogue[product_id].split())) for product_id in listed]
    assert len(listed) == 20
    assert np.mean(shared[:5]) > np.mean(shared[-5:])


@pytest.mark.parametrize("again", [True, False])
def test_what_is_served_by_words_is_what_was_judged(by_words, again):
    data, sources = by_words.data, by_words.sources.narrowed()
    now = float(data.time.max()) + 60.0
    weights = by_words.recipe.lists[AGAIN if again else NEW]
    for person in range(6):
        mine = data.take(data.user == person)
        history = [
            Met(data.product_ids[product], float(weight), now - time, bool(bought))
            for product, weight, time, bought in zip(
                mine.product, mine.weight, mine.time, mine.bought, strict=True
            )
        ]
        one = replace(mine, user=np.zeros(len(mine), np.int32), user_ids=["one"])
        seen = None if again else met_matrix(one)
        judged = ListScorer(SignalScorer(sources, one, now=now), weights, seen)(np.array([0]))[0]

        found = by_words.model.for_history(history, 99, again=again)

        unmet = [item for item in found if item.product_id >= "p24"]
        places = [data.product_ids.index(item.product_id) for item in unmet]
        assert len(unmet) == 4
        assert [item.score for item in unmet] == pytest.approx(judged[places], abs=0.02)


def test_products_nobody_met_change_places_among_themselves_alone(served, by_words):
    history = [Met("p01", 1.0, 60.0), Met("p09", 1.0, 3600.0)]

    kin = served.model.for_history(history, 99)
    words = by_words.model.for_history(history, 99)

    met = {f"p{number:02d}" for number in range(24)}
    assert [item.score for item in words] == pytest.approx([item.score for item in kin])
    assert [item.product_id for item in words if item.product_id in met] == [
        item.product_id for item in kin if item.product_id in met
    ]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("features_starts", lambda starts: starts[::-1].copy()),
        ("features_starts", lambda starts: starts[:-1]),
        ("features_words", lambda words: np.full_like(words, 60_000)),
        ("features_words", lambda words: words[:-1]),
        ("features_values", lambda values: np.full_like(values, np.nan)),
    ],
)
def test_words_that_do_not_fit_are_refused(by_words, name, change):
    with pytest.raises(ArtefactError):
        check_content(by_words.arrays | {name: change(by_words.arrays[name])})


def test_words_are_there_together_and_where_the_recipe_needs_them(served, by_words):
    part = {name: array for name, array in by_words.arrays.items() if name != "features_words"}
    with pytest.raises(ArtefactError, match="features_words"):
        check_names(part)
    with pytest.raises(ArtefactError, match="features_starts"):
        Model(served.arrays, by_words.manifest)
    assert "features_starts" not in served.arrays


def test_an_unknown_order_is_no_recipe():
    data = Recipe().to_dict()
    data["choices"]["unmet_order"] = "chance"

    with pytest.raises(ValueError, match="unmet_order must be one of"):
        Recipe.from_dict(data)
