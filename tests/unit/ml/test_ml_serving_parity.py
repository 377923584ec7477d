"""One history is served by the very scores that training gives to many."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, diags_array

from ml.dataset import Interactions
from ml.parts import AGAIN, NEW, SESSION
from ml.person import LARGEST_WEIGHT, MOST_LINES, VISIT_GAP_S
from ml.scoring import ListScorer, SignalScorer
from ml.serving import Met
from ml.splits.split import met_matrix

NOW = 1_772_366_400.0
PERSONAL = {NEW: {}, AGAIN: {"again": True}, SESSION: {"session": True}}
every_list = pytest.mark.parametrize("name", PERSONAL)

HISTORIES = st.lists(
    st.builds(
        Met,
        st.sampled_from([f"p{number:02d}" for number in range(29)] + ["gone"]),
        st.sampled_from([1.0, 5.0, 1e30, 1e300, 0.0, -1.0, math.nan, math.inf]),
        st.sampled_from([-60.0, 0.0, 30.0, 1700.0, 4e3, 9e5, 9e8, math.nan, math.inf, -math.inf]),
        st.booleans(),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def as_packed(served):
    """The sources that were fitted, but with every number rounded as the artefact holds it."""
    arrays, sources = served.arrays, served.sources.narrowed()

    def matrix(name):
        parts = (arrays[f"{name}_{part}"] for part in ("scores", "products", "starts"))
        scores, products, starts = parts
        entries = (scores.astype(np.float32), products.astype(np.int32), starts.astype(np.int32))
        return csr_array(entries, shape=(sources.num_products, sources.num_products))

    tables = {name: copy.copy(table) for name, table in sources.tables.items()}
    for name, table in tables.items():
        table._matrix = matrix(name)
    factors = copy.copy(sources.factors)
    factors.item_factors_ = arrays["factors"].astype(np.float32)
    factors.gram_ = factors._shared_part(factors.item_factors_)
    kin = matrix("kin")
    total = np.maximum(kin.sum(axis=1), 1e-6)
    return replace(
        sources, tables=tables, factors=factors, kin=csr_array(diags_array(1 / total) @ kin)
    )


def read_lines(served, history):
    """Return the lines that training would have read."""
    told = [
        line
        for line in history
        if line.product_id in served.data.product_ids
        and 0 < line.weight <= LARGEST_WEIGHT
        and math.isfinite(line.age_s)
    ]
    return sorted(told, key=lambda line: line.age_s)[:MOST_LINES]


def score_as_training_does(served, sources, name, history):
    """Return product id → score of one history, for what may be on the list."""
    ids, told = served.data.product_ids, read_lines(served, history)
    many = len(told)
    one = Interactions(
        ["somebody"],
        ids,
        np.zeros(many, np.int32),
        np.array([ids.index(line.product_id) for line in told], np.int32),
        np.array([line.weight for line in told], np.float64),
        NOW - np.array([line.age_s for line in told], np.float64),
        np.arange(many),
        np.array([line.bought for line in told], bool),
        np.full(many, -1),
    )
    seen = None if name == AGAIN else met_matrix(one)
    weights = served.recipe.lists[name]
    scores = ListScorer(SignalScorer(sources, one, now=NOW), weights, seen)(np.array([0]))[0]
    if seen is not None:
        scores[seen.indices] = -np.inf
    return {ids[at]: float(scores[at]) for at in np.flatnonzero(np.isfinite(scores))}


def latest_visit(history):
    """Say which part of a history belongs to the latest visit, line by line."""
    visit = []
    dated = (line for line in history if math.isfinite(line.age_s))
    for line in sorted(dated, key=lambda line: line.age_s):
        if visit and line.age_s - visit[-1].age_s > VISIT_GAP_S:
            break
        visit.append(line)
    return visit


def check_parity(served, sources, name, history, exclude=()):
    found = served.model.for_history(history, 99, exclude, **PERSONAL[name])

    known = latest_visit(history) if name == SESSION else history
    expected = score_as_training_does(served, sources, name, known)
    scores = [expected[item.product_id] for item in found]
    assert {item.product_id for item in found} == set(expected) - set(exclude)
    assert [item.score for item in found] == pytest.approx(scores, abs=2e-4)
    assert scores == pytest.approx(sorted(scores, reverse=True), abs=2e-4)


def history_of(served, person):
    rows = served.data.take(served.data.user == person)
    return [
        Met(served.data.product_ids[product], float(weight), NOW - time, bool(bought))
        for product, weight, time, bought in zip(
            rows.product, rows.weight, rows.time, rows.bought, strict=True
        )
    ]


@every_list
@pytest.mark.parametrize("person", [0, 13, 26])
def test_people_of_the_shop_get_the_lists_that_were_judged(served, as_packed, name, person):
    check_parity(served, as_packed, name, history_of(served, person))


@every_list
@settings(max_examples=40)
@given(history=HISTORIES, exclude=st.sets(st.sampled_from(["p00", "p25", "gone"])))
def test_any_history_is_scored_as_in_training(served, as_packed, name, history, exclude):
    if read_lines(served, latest_visit(history) if name == SESSION else history):
        check_parity(served, as_packed, name, history, exclude)
    else:
        met = set() if name == AGAIN else {line.product_id for line in history}
        found = served.model.for_history(history, 5, exclude, **PERSONAL[name])
        assert found == served.model.popular(5, {*exclude, *met})


@every_list
def test_of_a_very_long_history_the_latest_part_counts(served, as_packed, name):
    random = np.random.default_rng(1)
    history = [
        Met(f"p{random.integers(29):02d}", 1.0, float(random.uniform(0, 9e6)), False)
        for _ in range(10_000)
    ]

    check_parity(served, as_packed, name, history)


def test_rounding_to_half_precision_hardly_moves_a_score(served):
    sources = served.sources.narrowed()
    for person in range(5):
        history = history_of(served, person)
        exact = score_as_training_does(served, sources, AGAIN, history)

        found = served.model.for_history(history, 99, again=True)

        assert [item.score for item in found] == pytest.approx(
            [exact[item.product_id] for item in found], abs=0.02
        )


def test_products_nobody_met_are_listed_where_their_words_are_known(served):
    found = served.model.for_history(history_of(served, 3), 99)

    listed = {item.product_id for item in found}
    assert {"p24", "p25", "p26", "p27"} <= listed
    assert "p28" not in listed
