"""Figures on real data, held to those of the published protocol (Online Retail, UCI)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.behaviour import BehaviourNeighbours, neighbour_matrix
from ml.catalogue import align_catalogue
from ml.content import ContentNeighbours
from ml.dataset import build_interactions, strength_matrix
from ml.evaluate import evaluate
from ml.judge import fit_contestants, judge_similar
from ml.popularity import RecentPopularity
from ml.questions import split_by_first_product
from ml.recipe import Recipe
from ml.split import split_by_time

ROOT = Path(__file__).parents[3]
DATA = ROOT / os.environ.get("MILLRACE_DATA_DIR", "../shared/data") / "online-retail-uci"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not here"),
]


@pytest.fixture(scope="module")
def purchases():
    lines = pd.read_csv(DATA / "lines.csv.gz", dtype={"stock_code": str, "customer_id": str})
    lines = lines[(lines["quantity"] > 0) & (lines["unit_price"] > 0)]
    lines = lines[lines["customer_id"].notna() & lines["stock_code"].str.match(r"\d{5}")]
    lines = lines.drop_duplicates(["invoice", "stock_code"])
    return build_interactions(
        pd.DataFrame(
            {
                "user_id": lines["customer_id"],
                "product_id": lines["stock_code"],
                "weight": 1.0,
                "occurred_at": pd.to_datetime(lines["ts"], utc=True),
            }
        )
    )


@pytest.fixture(scope="module")
def names():
    products = pd.read_csv(DATA / "products.csv.gz", dtype={"stock_code": str})
    return products.rename(
        columns={"stock_code": "product_id", "description": "name", "colour": "color"}
    )


@pytest.fixture(scope="module")
def split(purchases):
    cut = pd.Timestamp("2011-11-09", tz="UTC").timestamp()
    return split_by_time(purchases, cut, exclude_seen=True)


def ndcg(scorer, split):
    return evaluate(scorer, split).means()["ndcg_at_10"]


def test_the_split_has_the_published_counts(split):
    assert split.seen.nnz == 230_662
    assert len(np.unique(split.train.product)) == 3_618
    assert len(split.people) == 1_287


@pytest.mark.parametrize(("half_life_days", "expected"), [(None, 0.034), (3.0, 0.098)])
def test_popularity_scores_as_published(split, half_life_days, expected):
    score = RecentPopularity(half_life_days).fit(split.train, now=split.cut).score_

    found = ndcg(lambda people: np.tile(score, (len(people), 1)), split)

    assert found == pytest.approx(expected, abs=0.003)


def test_behaviour_scores_as_published_item_knn(split):
    strength = strength_matrix(split.train, now=split.cut, half_life_days=30)
    model = BehaviourNeighbours().fit(strength)
    table = neighbour_matrix(model.index_, model.score_)

    found = ndcg(lambda people: (strength[people] @ table).toarray(), split)

    assert found == pytest.approx(0.066, abs=0.01)


def test_a_red_retrospot_bag_is_among_bags(purchases, names):
    products = align_catalogue(names, purchases.product_ids)
    strength = strength_matrix(purchases, now=float(purchases.time.max()))
    bag = purchases.product_ids.index("85099B")
    name = products["name"].tolist()

    behaviour = BehaviourNeighbours(10).fit(strength).index_[bag]
    content = ContentNeighbours(10).fit(products).index_[bag]

    assert name[bag] == "JUMBO BAG RED RETROSPOT"
    assert sum("BAG" in name[at] for at in behaviour) >= 8
    assert sum("RETROSPOT" in name[at] or "BAG" in name[at] for at in content) >= 8


def test_neighbours_beat_popularity_for_what_goes_with_a_product(purchases, names):
    cut = pd.Timestamp("2011-11-09", tz="UTC").timestamp()
    questions = split_by_first_product(purchases, cut)
    content = ContentNeighbours().fit(align_catalogue(names, purchases.product_ids))

    judgement = judge_similar(fit_contestants(Recipe(), None, questions, content), questions)

    assert judgement.decision.promote
    assert judgement.num_asked > 1_000
