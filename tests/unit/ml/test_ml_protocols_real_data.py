"""The bundled tasks ask as many people as published, and popularity scores as it is known to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench.recommend import ask
from bench.tasks import build_task
from datasets.interest import read_shop
from ml.evaluate import evaluate
from ml.splits import met_matrix

ROOT = Path(__file__).parents[3]
DATA = ROOT / os.environ.get("MILLRACE_DATA_DIR", "../shared/data")

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not here"),
]

#: Questions, products that are ranked, and NDCG@10 of plain popularity where it is published.
TASKS = {
    ("online-retail-uci", "new products"): (1_287, 3_618, 0.034),
    ("online-retail-uci", "repeats allowed"): (1_394, 3_618, 0.081),
    ("online-retail-uci", "similar products"): (6_000, 3_618, None),
    ("online-retail-uci", "cold products"): (999, 543, None),
    ("tmall-brand-events-2014", "bought brands, repeats allowed"): (498, 7_793, 0.031),
    ("movielens-100k", "80/20"): (943, 1_651, 0.216),
    ("movielens-100k", "last out"): (925, 1_430, 0.036),
    ("amazon-beauty-2014", "last out"): (22_311, 12_092, 0.006),
    ("eshop-clothing-2008", "next click in the session"): (10_848, 217, None),
    ("diginetica-sessions", "questions of the published split"): (10_000, 43_097, None),
}


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_a_bundled_task_asks_what_was_published(name, task):
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not present")
    people, products, popularity = TASKS[name, task]
    shop = read_shop(DATA / name)
    [rule] = [rule for rule in shop.tasks if rule.task == task]

    known, protocol = build_task(shop, rule)
    split = ask(known, protocol, rule, seed=0)
    tuned = protocol.validation().split(split.train)

    ranked = split.train.product[split.train.weight > 0]
    ranked = np.unique(ranked) if split.rankable is None else np.flatnonzero(split.rankable)
    assert (len(split.people), len(ranked)) == (people, products)
    assert len(tuned.people) > 400
    assert set(tuned.train.row.tolist()) < set(split.train.row.tolist())
    if popularity is not None:
        assert popular_ndcg(split) == pytest.approx(popularity, abs=0.00051)
    if name == "online-retail-uci" and split.rankable is None:
        assert met_matrix(split.train).nnz == 230_662


def popular_ndcg(split):
    """Rank by the number of people who met a product."""
    people = met_matrix(split.train.take(split.train.weight > 0)).sum(axis=0)
    return evaluate(lambda rows: np.tile(people, (len(rows), 1)), split).means()["ndcg_at_10"]
