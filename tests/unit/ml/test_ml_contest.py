from __future__ import annotations

import numpy as np
import pytest

from ml.contest import SERVED, contestants
from ml.dataset import DAY_S
from ml.evaluate import evaluate
from ml.parts import AGAIN, NEW, SIMILAR
from ml.signals import SOURCES
from ml.splits import ColdProducts, SimilarProducts, TimeWindow

BASELINES = {"content", "popularity", "recent_popularity"}


def protocol(name, cut):
    window_s = 12 * DAY_S
    return {
        "new": TimeWindow(cut, window_s=window_s),
        "again": TimeWindow(cut, exclude_seen=False, window_s=window_s),
        "similar": SimilarProducts(cut, window_s=window_s),
        "cold": ColdProducts(TimeWindow(cut, window_s=window_s), share=0.3),
    }[name]


@pytest.mark.parametrize(
    ("name", "listed", "singles"),
    [
        ("new", NEW, set(SOURCES) - {"own"}),
        ("again", AGAIN, set(SOURCES)),
        ("similar", SIMILAR, set(SOURCES) - {"own"}),
        ("cold", NEW, set(SOURCES) - {"own"} | {"content_factors"}),
    ],
)
def test_the_served_recipe_meets_every_single_model_and_baseline(shop, name, listed, singles):
    data, catalogue = shop
    split = protocol(name, data.time.max() - 12 * DAY_S).split(data)
    told = []

    contest = contestants(
        split, catalogue, seed=0, progress=lambda stage, share: told.append((stage, share))
    )

    assert next(iter(contest.scorers)) == SERVED
    assert set(contest.scorers) == {SERVED} | singles | BASELINES
    assert set(contest.recipe.lists) == {listed}
    for scorer in contest.scorers.values():
        assert np.isfinite(evaluate(scorer, split).ndcg).all()
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_products_that_nobody_met_are_ranked_by_what_they_are_like(lively_shop):
    data, catalogue = lively_shop
    known = TimeWindow(data.time.max() - 12 * DAY_S, exclude_seen=False, window_s=12 * DAY_S)
    split = ColdProducts(known, share=0.4).split(data)

    contest = contestants(split, catalogue, seed=0, progress=lambda stage, share: None)

    served = evaluate(contest.scorers[SERVED], split).ndcg.mean()
    assert len(split.people) > 10
    assert served > 1.15 * evaluate(contest.scorers["popularity"], split).ndcg.mean()
