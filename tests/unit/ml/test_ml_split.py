from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.dataset import DAY_S, build_interactions
from ml.split import choose_window_days, draw_people, last_cut, split_by_time

START = pd.Timestamp("2026-01-01", tz="UTC")
MEETINGS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 40)), min_size=1, max_size=60
)


def build(meetings):
    rows = pd.DataFrame(meetings, columns=["user_id", "product_id", "day"])
    times = START + pd.to_timedelta(rows.pop("day"), unit="D")
    return build_interactions(rows.assign(weight=1.0, occurred_at=times))


@given(meetings=MEETINGS, cut_day=st.integers(1, 40), exclude_seen=st.booleans())
def test_no_future_interaction_reaches_training(meetings, cut_day, exclude_seen):
    data = build(meetings)
    cut = START.timestamp() + cut_day * DAY_S

    split = split_by_time(data, cut, exclude_seen=exclude_seen)

    past = [meeting for meeting in meetings if meeting[2] < cut_day]
    assert len(split.train) == len(past)
    assert (split.train.time < cut).all()
    seen = {(int(data.user_ids[u]), int(data.product_ids[p])) for u, p in np.argwhere(split.seen)}
    assert seen == {(user, product) for user, product, _ in past}


@given(meetings=MEETINGS, cut_day=st.integers(1, 40), exclude_seen=st.booleans())
def test_the_truth_is_what_known_people_meet_after_the_cut(meetings, cut_day, exclude_seen):
    data = build(meetings)

    split = split_by_time(data, START.timestamp() + cut_day * DAY_S, exclude_seen=exclude_seen)

    past = [meeting for meeting in meetings if meeting[2] < cut_day]
    people, products = {user for user, _, _ in past}, {product for _, product, _ in past}
    seen = {(user, product) for user, product, _ in past}
    expected = {
        (user, product)
        for user, product, day in meetings
        if day >= cut_day and user in people and product in products
        and not (exclude_seen and (user, product) in seen)
    }  # fmt: skip
    truth = {(int(data.user_ids[u]), int(data.product_ids[p])) for u, p in np.argwhere(split.truth)}
    assert truth == expected
    assert {int(data.user_ids[u]) for u in split.people} == {user for user, _ in expected}


def test_the_share_of_products_nobody_knew_is_reported():
    data = build([(1, 1, 0), (1, 2, 0), (2, 3, 0), (1, 3, 10), (1, 4, 10)])

    split = split_by_time(data, START.timestamp() + 5 * DAY_S)

    assert split.unknown_share == 0.5


def test_what_comes_at_or_after_the_end_is_in_neither_part():
    data = build([(1, 1, 0), (2, 2, 0), (1, 2, 10)])

    split = split_by_time(data, START.timestamp() + 5 * DAY_S, end=START.timestamp() + 10 * DAY_S)

    assert len(split.train) == 2
    assert split.truth.nnz == 0


@pytest.mark.parametrize(("span_days", "window_days"), [(0, 1), (2, 1), (50, 10), (400, 30)])
def test_the_window_is_a_fifth_of_the_span_within_a_day_and_a_month(span_days, window_days):
    assert choose_window_days(build([(1, 1, 0), (1, 1, span_days)])) == window_days


def test_the_window_of_no_interactions_is_the_shortest():
    assert choose_window_days(build([(1, 1, 0)]).take(np.zeros(1, dtype=bool))) == 1


def test_the_last_window_begins_its_length_before_the_last_interaction():
    data = build([(1, 1, 0), (1, 1, 10)])

    assert last_cut(data, 3) == START.timestamp() + 7 * DAY_S


def test_of_very_many_people_the_seed_draws_some():
    data = build([(user, (user + day) % 3, day) for user in range(40) for day in (0, 10)])
    split = split_by_time(data, START.timestamp() + 5 * DAY_S)

    drawn, again = draw_people(split, 7, seed=1), draw_people(split, 7, seed=1)

    assert drawn.people.tolist() == again.people.tolist()
    assert len(drawn.people) == 7
    assert set(drawn.people) < set(split.people)
    assert draw_people(split, len(split.people), seed=1) is split


def test_an_impossible_split_is_refused():
    data = build([(1, 1, 0)])

    with pytest.raises(ValueError, match="cut must be < end"):
        split_by_time(data, 2.0, end=1.0)
    with pytest.raises(ValueError, match="window_days must be > 0"):
        last_cut(data, 0)
    with pytest.raises(ValueError, match="no interactions"):
        last_cut(data.take(np.zeros(1, dtype=bool)), 1)
