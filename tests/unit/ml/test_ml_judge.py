"""Similar products are judged as they are served, and by what was known before the cut."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ml.artefact import describe, pack, unpack
from ml.blend import Blend
from ml.catalogue import align_catalogue
from ml.content import ContentNeighbours
from ml.dataset import DAY_S
from ml.judge import fit_contestants, judge_lists, judge_similar
from ml.questions import products_given, split_by_first_product
from ml.ranking import top_k
from ml.recipe import Recipe
from ml.result import model_arrays
from ml.serving import Model
from ml.similar import rank_similar
from ml.split import split_by_time

RECIPE = Recipe(behaviour_neighbours=4, popularity_half_life_days=1.0)
# Behaviour that nobody shares, so that content and popularity are all there is.
BLIND = Recipe(behaviour_min_people=10_000)


@pytest.fixture(scope="module")
def asked(session_shop):
    """Questions to a shop whose content knows little of most products."""
    data, _ = session_shop
    names = ["red bag", "blue bag", "red hat", None] * 10
    catalogue = pd.DataFrame({"product_id": data.product_ids, "name": names})
    products = align_catalogue(catalogue, data.product_ids)
    content = ContentNeighbours(3).fit(products)
    return split_by_first_product(data, data.time.max() - 6 * DAY_S), content, products


def serve(blend, content, products, product_ids):
    manifest = {"format_version": 1, "recipe": blend.recipe.to_dict()}
    packed = pack(model_arrays(blend, content, products, product_ids), manifest)
    manifest = describe(packed, manifest)
    return Model(unpack(packed, manifest), manifest)


@pytest.mark.parametrize("recipe", [RECIPE, BLIND])
def test_products_are_judged_in_the_order_in_which_serving_names_them(asked, recipe):
    split, content, products = asked
    ids = split.train.product_ids
    blend = Blend(recipe).fit(split.train, content, now=split.cut)
    model = serve(blend, content, products, ids)
    every = np.arange(len(ids), dtype=np.int32)

    scores = rank_similar(
        every, [blend.behaviour_.index_, content.index_], blend.popularity_.score_
    )

    scores[every, every] = -np.inf
    top, _ = top_k(scores, len(ids))
    for place, product_id in enumerate(ids):
        served = [item.product_id for item in model.similar(product_id, len(ids))]
        assert [ids[at] for at in top[place] if at >= 0] == served


def test_neighbours_alone_name_nothing_else():
    table = np.array([[2, 1], [-1, -1], [0, -1]], np.int32)

    top, _ = top_k(rank_similar(np.array([0, 1, 2, 0]), [table]), 3)

    assert top.tolist() == [[2, 1, -1], [-1, -1, -1], [0, -1, -1], [2, 1, -1]]


def test_what_nobody_met_is_not_popular():
    nobody = np.full((3, 1), -1, np.int32)

    top, _ = top_k(rank_similar(np.array([0]), [nobody], np.array([0, 1, 2], np.float32)), 3)

    assert top.tolist() == [[2, 1, -1]]


def test_figures_are_those_of_a_plain_count_over_what_is_served(asked):
    split, content, products = asked
    ids = split.train.product_ids
    contestants = fit_contestants(RECIPE, None, split, content)
    model = serve(contestants.candidate, content, products, ids)

    judgement = judge_similar(contestants, split)

    ndcg, mrr = [], []
    for person, given in zip(split.people, products_given(split, split.people), strict=True):
        truth = {ids[at] for at in split.truth[[person]].indices}
        listed = [item.product_id for item in model.similar(ids[given], len(ids))]
        gains = [1 / np.log2(rank + 2) for rank, at in enumerate(listed[:10]) if at in truth]
        ideal = sum(1 / np.log2(rank + 2) for rank in range(min(10, len(truth))))
        ndcg.append(sum(gains) / ideal)
        mrr.append(max((1 / (rank + 1) for rank, at in enumerate(listed) if at in truth)))
    assert judgement.num_asked == len(split.people) > 40
    assert judgement.metrics["ndcg_at_10"] == pytest.approx(np.mean(ndcg))
    assert judgement.metrics["mrr"] == pytest.approx(np.mean(mrr))
    assert set(judgement.baselines) == {"recent_popularity", "content", "behaviour"}


def test_what_happens_after_the_cut_changes_the_questions_and_no_answer(session_shop, asked):
    data, _ = session_shop
    split, content, _ = asked
    after = data.time >= split.cut
    other = data.product.copy()
    other[after] = np.random.default_rng(0).integers(data.shape[1], size=int(after.sum()))

    changed = split_by_first_product(replace(data, product=other), split.cut)

    one, two = (fit_contestants(RECIPE, None, part, content).candidate for part in (split, changed))
    assert (split.truth != changed.truth).nnz > 50
    assert (one.behaviour_.index_ == two.behaviour_.index_).all()
    assert (one.popularity_.score_ == two.popularity_.score_).all()


def test_pairs_that_only_the_test_window_shows_are_not_known(session_shop, asked):
    data, _ = session_shop
    split, content, _ = asked
    paired = data.product.copy()
    # From now on who meets a product meets the one of the next group, which nobody did before.
    after = data.time >= split.cut
    step = pd.Series(data.user[after]).groupby(data.user[after]).cumcount().to_numpy()
    paired[after] = (data.user[after] % 10) + 10 * ((data.user[after] // 10 + step) % 4)
    questions = split_by_first_product(replace(data, product=paired), split.cut)

    judgement = judge_similar(fit_contestants(RECIPE, None, questions, content), questions)

    assert judgement.num_asked > 40
    assert judgement.baselines["behaviour"]["ndcg_at_10"] < 0.1


def test_a_good_part_of_the_champion_is_lost_to_a_candidate_that_knows_nothing(asked):
    split, content, _ = asked

    judgement = judge_similar(fit_contestants(BLIND, RECIPE, split, content), split)

    assert judgement.decision.status == "rejected"
    assert "more than 2 % below the champion's recipe" in judgement.decision.reason
    assert judgement.loses_champion


def test_what_the_champion_does_not_serve_need_not_be_matched_and_is_not_lost(asked):
    split, content, _ = asked
    rivals = fit_contestants(BLIND, RECIPE, split, content)

    judgement = judge_similar(rivals, split, champion_serves=False)

    assert "champion's recipe" not in judgement.decision.reason
    assert judgement.baselines["champion"]["ndcg_at_10"] > judgement.metrics["ndcg_at_10"]
    assert not judgement.loses_champion


def test_a_part_that_the_champion_would_not_pass_with_today_is_not_lost(asked):
    split, content, _ = asked
    misleading = copy.copy(content)
    # Each product is called like those of the next group of ten, with which it never goes.
    group = np.arange(40)[:, None] // 10
    misleading.index_ = ((group + 1) % 4 * 10 + np.arange(10)).astype(np.int32)
    misleading.score_ = np.ones((40, 10), np.float32)

    judgement = judge_similar(fit_contestants(BLIND, BLIND, split, misleading), split)

    assert judgement.decision.status == "rejected"
    assert not judgement.loses_champion


def test_where_nobody_can_be_asked_the_champion_keeps_what_it_serves(asked):
    split, content, _ = asked
    nobody = replace(split, people=split.people[:0])

    judgements = [
        judge_similar(fit_contestants(RECIPE, champion, nobody, content), nobody)
        for champion in (RECIPE, None)
    ]

    assert [judgement.decision.status for judgement in judgements] == ["skipped", "skipped"]
    assert [judgement.loses_champion for judgement in judgements] == [True, False]
    assert judgements[0].metrics == {}


def test_lists_for_people_are_judged_by_their_own_split(shop):
    data, catalogue = shop
    content = ContentNeighbours().fit(align_catalogue(catalogue, data.product_ids))
    split = split_by_time(data, data.time.max() - 12 * DAY_S)

    judgement = judge_lists(fit_contestants(Recipe(), Recipe(), split, content), split)

    assert judgement.decision.promote
    assert judgement.num_asked == len(split.people)
    assert judgement.baselines["champion"] == judgement.metrics
    assert "judged by the later products of people known before" in judgement.decision.reason
