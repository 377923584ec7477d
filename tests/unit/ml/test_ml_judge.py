"""Lists are judged as they are served, by what was known before the cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ml.catalogue import align_catalogue
from ml.content import ContentNeighbours
from ml.dataset import DAY_S
from ml.evaluate import evaluate
from ml.intervals import paired_interval
from ml.judge import fit_contestants, judge_list
from ml.parts import NEW, SESSION, SIMILAR
from ml.questions import choose_questions
from ml.recipe import Choices, ListWeights, Recipe
from ml.similar import make_similar, rank_similar
from ml.sizes import Sizes
from ml.sources import ProductWords
from ml.splits.similar import products_given
from ml.splits.split import met_matrix
from ml.train import judge_lists
from ml.weights import Learned

GOOD = ListWeights({"knn_months": (1.0, 0.0)})
# What is least popular first, and no word on what goes with a product.
BAD = ListWeights({}, {"trend_all": (-1.0, 0.0)})


def recipe_of(weights, **choices):
    return Recipe(Choices(**choices), {SESSION: weights, SIMILAR: weights})


@pytest.fixture(scope="module")
def asked(session_shop):
    """Questions to a shop whose catalogue knows little of most products."""
    data, _ = session_shop
    names = ["red bag", "blue bag", "red hat", None] * 10
    products = align_catalogue(
        pd.DataFrame({"product_id": data.product_ids, "name": names}), data.product_ids
    )
    questions = choose_questions(data, window_s=6 * DAY_S, seed=0)
    return (
        {question.name: question for question in questions},
        ProductWords.of(products),
        ContentNeighbours(3).fit(products),
    )


def judge(
    asked, name, candidate, champion=None, *, serves=(SESSION, SIMILAR), standing=1.0, nobody=False
):
    questions, words, content = asked
    question = questions[name]
    test = question.test
    both = fit_contestants(candidate, champion, test.train, words, cut=test.cut, besides=["knn"])
    parts = {served: {"status": "promoted", "standing": standing} for served in serves}
    if nobody:
        question = replace(question, test=replace(test, people=test.people[:0]))
    return judge_list(question, *both, content, best_signal="knn_months", champion_parts=parts)


every_list = pytest.mark.parametrize("name", [SESSION, SIMILAR])


@every_list
def test_a_good_list_is_promoted_with_its_figures_and_baselines(asked, name):
    judgement = judge(asked, name, recipe_of(GOOD))

    assert judgement.decision.promote
    assert judgement.num_asked == len(asked[0][name].test.people) > 40
    assert set(judgement.baselines) == {
        "popularity", "recent_popularity", "content", "best single (knn_months)",
    }  # fmt: skip
    assert judgement.metrics["ndcg_at_10"] > judgement.baselines["popularity"]["ndcg_at_10"]
    figures = judgement.as_figures()
    assert figures["asked"] == judgement.num_asked
    assert figures["status"] == "promoted"
    assert "judged by the" in figures["reason"]


@every_list
def test_intervals_draw_people_and_not_their_questions(asked, name):
    candidate = recipe_of(GOOD)
    test = asked[0][name].test

    intervals = judge(asked, name, candidate).intervals
    contestant, _ = fit_contestants(candidate, None, test.train, asked[1], cut=test.cut)
    ndcg = evaluate(contestant.scorer(asked[0][name], asked[2]), test).ndcg

    assert len(np.unique(test.person)) < len(test.people)
    assert intervals["ndcg_at_10"] == paired_interval(ndcg, seed=0, person=test.person)
    assert intervals["ndcg_at_10"] != paired_interval(ndcg, seed=0)


@every_list
def test_what_the_champion_does_well_is_lost_to_a_candidate_that_does_not(asked, name):
    judgement = judge(asked, name, recipe_of(BAD), recipe_of(GOOD))

    assert judgement.decision.status == "rejected"
    assert "more than 2 % below the champion's recipe" in judgement.decision.reason
    assert judgement.loses_champion


@every_list
def test_what_the_champion_does_not_serve_need_not_be_matched_and_is_not_lost(asked, name):
    judgement = judge(asked, name, recipe_of(BAD), recipe_of(GOOD), serves=())

    assert "champion's recipe" not in judgement.decision.reason
    assert judgement.baselines["champion"]["ndcg_at_10"] > judgement.metrics["ndcg_at_10"]
    assert not judgement.loses_champion


@pytest.mark.parametrize(("standing", "kept"), [(0.96, 0.96), (2.0, 1.0), ("high", 1.0), (None, 1)])
def test_a_candidate_inherits_the_standing_of_its_champion(asked, standing, kept):
    judgement = judge(asked, SESSION, recipe_of(GOOD), recipe_of(GOOD), standing=standing)

    assert judgement.decision.promote
    assert judgement.as_figures()["standing"] == kept
    alone = judge(asked, SESSION, recipe_of(GOOD), recipe_of(GOOD), serves=(), standing=standing)
    assert "standing" not in alone.as_figures()


def test_a_champion_that_would_not_pass_today_is_not_lost(asked):
    against = recipe_of(ListWeights({"knn_months": (-1.0, 0.0)}))

    judgement = judge(asked, SESSION, against, against)

    assert judgement.decision.status == "rejected"
    assert not judgement.loses_champion


def test_a_list_the_champion_never_had_is_judged_without_it(asked):
    judgement = judge(asked, SESSION, recipe_of(GOOD), Recipe(Choices(), {NEW: GOOD}))

    assert judgement.decision.promote
    assert "champion" not in judgement.baselines


def test_where_nobody_can_be_asked_the_champion_keeps_what_it_serves(asked):
    alone = judge(asked, SESSION, recipe_of(GOOD), nobody=True)
    rival = judge(asked, SESSION, recipe_of(GOOD), recipe_of(GOOD), nobody=True)

    assert alone.decision.status == rival.decision.status == "skipped"
    assert (alone.loses_champion, rival.loses_champion) == (False, True)


def test_both_recipes_are_fitted_before_the_cut_and_equal_choices_once(asked):
    questions, words, _ = asked
    test = questions[SESSION].test
    recipe = recipe_of(GOOD)

    same = fit_contestants(recipe, recipe_of(BAD), test.train, words, cut=test.cut)
    other = fit_contestants(
        recipe, recipe_of(GOOD, knn_metric="bm25"), test.train, words, cut=test.cut
    )

    assert same[1].sources is same[0].sources
    assert other[1].sources is not other[0].sources
    assert test.train.time.max() < test.cut
    met = np.bincount(test.train.product, minlength=test.train.shape[1]) > 0
    assert (other[1].sources.known == met).all()


def test_the_best_signal_is_a_baseline_even_where_no_list_needs_its_source(asked):
    questions, words, content = asked
    popular = ListWeights({}, {"trend_7": (1.0, 0.0)})
    learned = Learned(popular, None, {"trend_7": 0.3, "ease_months": 0.2})

    judged = judge_lists(
        list(questions.values()),
        recipe_of(popular),
        None,
        dict.fromkeys(questions, learned),
        words,
        content,
        None,
        {"sizes": Sizes(ease_products=100), "seed": 0},
    )

    for judgement in judged.values():
        assert judgement.baselines["best single (ease_months)"]["ndcg_at_10"] > 0.1


def test_only_the_products_asked_about_are_ranked_and_as_they_are_served(asked):
    questions, words, content = asked
    test = questions[SIMILAR].test
    few = replace(test, people=test.people[:7])
    contestant, _ = fit_contestants(recipe_of(GOOD), None, test.train, words, cut=test.cut)
    sources, met = contestant.sources, met_matrix(test.train)
    table = make_similar(sources, GOOD, met, test.train.product_ids)

    scores = contestant.scorer(replace(questions[SIMILAR], test=few), content)(few.people)

    served = (table.index, content.index_)
    given = products_given(test, few.people)
    np.testing.assert_array_equal(scores, rank_similar(given, served, sources.popularity))
