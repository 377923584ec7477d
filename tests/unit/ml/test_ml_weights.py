from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml.candidates import Candidates, find_candidates
from ml.catalogue import align_catalogue
from ml.dataset import DAY_S
from ml.evaluate import evaluate
from ml.ranker import ListwiseRanker
from ml.recipe import Choices, ListWeights
from ml.scoring import ListScorer, SignalScorer
from ml.signals import SIGNALS, TRENDS
from ml.sources import ProductWords, fit_sources
from ml.splits import NextInVisit, TimeWindow
from ml.weights import (
    FEWEST_QUESTIONS,
    REGULARISATIONS,
    _try_regularisations,
    choose_regularisation,
    learn_weights,
    usable_signals,
)


def ask(shop, *, exclude_seen=True, days=12, visits=False):
    """Return the questions of the last days, and what scores them."""
    data, catalogue = shop
    cut = data.time.max() - days * DAY_S
    protocol = NextInVisit(cut) if visits else TimeWindow(cut, exclude_seen=exclude_seen)
    split = protocol.split(data)
    words = ProductWords.of(align_catalogue(catalogue, data.product_ids))
    sources = fit_sources(Choices(), split.train, words, now=split.cut).narrowed()
    return split, SignalScorer(sources, split.history, now=split.cut)


def by_chance(shop, seed):
    """The same shop, but everybody meets any product."""
    data, catalogue = shop
    product = np.random.default_rng(seed).integers(40, size=len(data)).astype(np.int32)
    return replace(data, product=product), catalogue


def test_candidates_are_the_best_of_each_signal_and_their_shares_are_those_of_the_scorer(
    lively_shop,
):
    split, scorer = ask(lively_shop)
    signals = ["knn_months", "factors_all"]

    found = find_candidates(split, scorer, signals)

    assert found.columns == [*signals, *TRENDS]
    assert found.shares.shape == (len(found.product), len(signals) + len(TRENDS))
    assert (np.diff(found.question) >= 0).all()
    for number in (0, 7, len(split.people) - 1):
        person = split.people[number]
        mine = found.question == number
        truth = set(split.truth[[person]].indices)
        seen = set(split.seen[[person]].indices)
        assert seen.isdisjoint(found.product[mine])
        assert set(found.product[mine][found.hit[mine]]) == truth & set(found.product[mine])
        assert found.num_true[number] == len(truth)
        score = scorer.score("knn_months", split.people[number : number + 1])[0]
        best = max(score[at] for at in range(len(score)) if at not in seen)
        assert found.shares[mine, 0] == pytest.approx(
            np.clip(score[found.product[mine]] / best, 0, 1), abs=1e-6
        )


def test_ndcg_over_candidates_is_that_of_the_whole_list(lively_shop):
    split, scorer = ask(lively_shop)
    weights = ListWeights({"knn_months": (1.0, 0.0)}, {"trend_30": (0.5, 0.25)})
    found = find_candidates(split, scorer, ["knn_months"])
    pairs = weights.signals | weights.trends
    coef = np.array([pairs.get(name, (0, 0)) for name in found.columns]).T.ravel()

    ndcg = found.ndcg(found.features() @ coef)

    assert found.read_weights(coef).signals == weights.signals
    whole = evaluate(ListScorer(scorer, found.read_weights(coef), split.seen), split)
    assert ndcg == pytest.approx(whole.ndcg)


def test_weights_of_all_signals_are_taken_where_they_are_better_than_each_alone(lively_shop):
    learned = learn_weights(*ask(lively_shop, exclude_seen=False), seed=0)

    singles = {name: value for name, value in learned.ndcg.items() if name != "ranker"}
    assert learned.regularisation in REGULARISATIONS
    assert learned.ndcg["ranker"] >= max(singles.values())
    assert set(learned.weights.signals) | set(learned.weights.trends) == set(singles)
    assert min(min(pair) for pair in learned.weights.signals.values()) < 0


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_where_nothing_can_be_learned_the_best_signal_or_trend_is_taken_alone(shop, seed):
    learned = learn_weights(*ask(by_chance(shop, seed)), seed=0)

    assert learned.regularisation is None
    assert "ranker" not in learned.ndcg
    best = max(learned.ndcg, key=lambda name: learned.ndcg[name])
    assert learned.weights.signals | learned.weights.trends == {best: (1.0, 0.0)}


def test_with_too_few_questions_the_best_signal_is_taken_alone(shop):
    split, scorer = ask(shop)

    few = learn_weights(replace(split, people=split.people[: FEWEST_QUESTIONS - 1]), scorer, seed=0)
    none = learn_weights(replace(split, people=split.people[:0]), scorer, seed=0)

    for learned in (few, none):
        assert learned.regularisation is None
        assert len([*learned.weights.signals, *learned.weights.trends]) == 1
    assert set(none.ndcg.values()) == {0.0}


def test_weights_are_judged_by_people_that_they_were_not_learned_from():
    """Twelve people are asked four times alike; of the features nothing can be learned but them."""
    asked, products, columns = 12 * 4, 8, 60
    random = np.random.default_rng(0)
    shares = np.repeat(random.random((12, products, columns), np.float32), 4, axis=0)
    noise = Candidates(
        np.repeat(np.arange(asked), products),
        np.tile(np.arange(products, dtype=np.int32), asked),
        np.tile(np.arange(products) == 0, asked),
        shares.reshape(-1, columns),
        [f"signal {number}" for number in range(columns)],
        [],
        np.ones(asked, np.int64),
    )
    person = np.repeat(np.arange(12), 4)

    honest = _try_regularisations(noise, noise.features(), person, seed=0)

    by_heart = ListwiseRanker(0.3).fit(noise.features(), noise.hit, noise.question)
    assert noise.ndcg(noise.features() @ by_heart.coef_).mean() == pytest.approx(1.0)
    by_question = _try_regularisations(noise, noise.features(), np.arange(asked), seed=0)
    assert max(honest.values()) < 0.7 < max(by_question.values())


def test_the_strongest_regularisation_that_is_as_good_and_no_worse_than_a_signal_is_chosen():
    tried = {0.3: 0.1998, 1.0: 0.2, 3.0: 0.1995, 10.0: 0.1}

    assert choose_regularisation(tried) == 3.0
    assert choose_regularisation(tried, at_least=0.19975) == 1.0
    assert choose_regularisation(tried, at_least=0.2) == 1.0


def test_what_cannot_tell_products_apart_is_no_signal():
    sources = frozenset({"own", "ease"})

    new = usable_signals(sources, exclude_seen=True, tells_bought=True)
    again = usable_signals(sources, exclude_seen=False, tells_bought=True)
    bare = usable_signals(sources, exclude_seen=False, tells_bought=False)

    assert {SIGNALS[name][0] for name in new} == {"ease"}
    assert set(again) - set(bare) == {"own_bought"}
    assert set(new) < set(bare)
