from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.dataset import DAY_S, build_interactions
from ml.protocol import explain
from ml.questions import products_given, split_by_first_product

START = pd.Timestamp("2026-01-01", tz="UTC")
CUT_DAY = 5
CUT = START.timestamp() + CUT_DAY * DAY_S

MEETINGS = st.lists(
    st.tuples(
        st.integers(0, 5), st.integers(0, 4), st.integers(0, 9), st.sampled_from([1.0, 1.0, -1.0])
    ),
    min_size=1,
    max_size=60,
)


def build(meetings):
    """Build interactions from (user, product, day[, weight]), in the order of the rows."""
    full = [(*meeting, 1.0)[:4] for meeting in meetings]
    rows = pd.DataFrame(full, columns=["user_id", "product_id", "day", "weight"])
    times = START + pd.to_timedelta(rows.pop("day"), unit="D")
    return build_interactions(rows.assign(occurred_at=times))


def read(data, split):
    """Say who is given what, and asked for what."""
    return {
        int(data.user_ids[user]): (
            int(data.product_ids[product]),
            {int(data.product_ids[at]) for at in split.truth[[user]].indices},
        )
        for user, product in zip(split.people, products_given(split, split.people), strict=True)
    }


def ask(meetings):
    """Say the same in a plain loop."""
    known = {product for _, product, day, _ in meetings if day < CUT_DAY}
    questions = {}
    for user in {meeting[0] for meeting in meetings}:
        story = [m for m in meetings if m[0] == user and m[2] >= CUT_DAY and m[3] > 0]
        story.sort(key=lambda meeting: meeting[2])
        if story:
            _, first, begun, _ = story[0]
            others = {product for _, product, day, _ in story if day == begun} - {first}
            if others & known:
                questions[user] = (first, others & known)
    return questions


@given(meetings=MEETINGS)
def test_the_first_product_is_given_and_the_others_are_asked_for(meetings):
    data = build(meetings)

    assert read(data, split_by_first_product(data, CUT)) == ask(meetings)


@given(meetings=MEETINGS)
def test_nothing_of_the_window_is_learned_from_and_the_given_product_is_not_asked_for(meetings):
    split = split_by_first_product(build(meetings), CUT)

    assert (split.train.time < CUT).all()
    assert len(split.train) == sum(meeting[2] < CUT_DAY for meeting in meetings)
    assert split.truth.multiply(split.seen).nnz == 0
    assert (np.diff(split.seen.indptr)[split.people] == 1).all()


def test_people_and_products_given_may_be_unknown_before():
    data = build([(9, 1, 0), (9, 2, 0), (1, 7, 6), (1, 2, 6)])

    assert read(data, split_by_first_product(data, CUT)) == {1: (7, {2})}


def test_of_one_day_the_order_of_the_rows_says_what_came_first():
    data = build([(9, 1, 0), (9, 3, 0), (1, 3, 7), (1, 1, 7)])

    assert read(data, split_by_first_product(data, CUT)) == {1: (3, {1})}


def test_what_comes_at_or_after_the_end_is_in_neither_part():
    data = build([(9, 1, 0), (9, 2, 0), (1, 1, 6), (1, 2, 8)])

    assert len(split_by_first_product(data, CUT, end=CUT + 3 * DAY_S).people) == 0


def test_the_share_of_products_nobody_knew_is_reported():
    data = build([(9, 1, 0), (9, 2, 0), (1, 1, 6), (1, 2, 6), (1, 7, 6)])

    assert split_by_first_product(data, CUT).unknown_share == 0.5


def test_what_is_asked_is_said_in_plain_words():
    split = split_by_first_product(build([(9, 1, 0)]), CUT)

    assert explain(split) == "judged by the other products that people met within a day"


def test_an_impossible_window_is_refused():
    with pytest.raises(ValueError, match="cut must be < end"):
        split_by_first_product(build([(1, 1, 0)]), 2.0, end=1.0)
