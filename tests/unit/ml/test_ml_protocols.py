"""What holds for every protocol: the past asks, the future answers, and neither mixes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.dataset import DAY_S, build_interactions
from ml.splits import (
    ColdProducts,
    GivenQuestions,
    LastOut,
    NextInVisit,
    RandomShare,
    SimilarProducts,
    TimeWindow,
)
from ml.splits.choose import buys_again

START = pd.Timestamp("2026-01-01", tz="UTC")
CUT_HOUR, LAST_HOUR = 30, 60
CUT, END = (START.timestamp() + hour * 3600 for hour in (CUT_HOUR, LAST_HOUR + 1))
WINDOW_S = 12 * 3600.0
PEOPLE, PRODUCTS = range(5), range(6)

BY_TIME = {
    "window": TimeWindow(CUT, END, window_s=WINDOW_S),
    "repeats": TimeWindow(CUT, END, exclude_seen=False, window_s=WINDOW_S),
    "bought": TimeWindow(CUT, exclude_seen=False, goal="bought", window_s=WINDOW_S),
    "visits": NextInVisit(CUT, END, gap_s=7200.0, window_s=WINDOW_S),
    "visits with repeats": NextInVisit(CUT, gap_s=7200.0, repeats=True, window_s=WINDOW_S),
    "similar": SimilarProducts(CUT, END, window_s=WINDOW_S),
    "cold": ColdProducts(TimeWindow(CUT, window_s=WINDOW_S), share=0.4),
    "given": GivenQuestions(
        np.array([0, 1, 3], np.int32), np.array([0, 0, 1], np.int32), np.array([2, 5], np.int32),
        CUT, WINDOW_S,
    ),
}  # fmt: skip
PROTOCOLS = {**BY_TIME, "last out": LastOut(), "random": RandomShare(0.3, seed=1)}
few = settings(max_examples=30)
every_protocol = pytest.mark.parametrize("name", PROTOCOLS)
every_timed_protocol = pytest.mark.parametrize("name", BY_TIME)

MEETING = st.tuples(
    st.sampled_from(PEOPLE),
    st.sampled_from(PRODUCTS),
    st.integers(1, LAST_HOUR),
    st.sampled_from([1.0, 2.0, -1.0, 0.0]),
    st.booleans(),
    st.sampled_from(["", "", "s1", "s2"]),
)
MEETINGS = st.lists(MEETING, max_size=50)
AT_DIFFERENT_TIMES = st.lists(MEETING, max_size=50, unique_by=lambda meeting: meeting[:3:2])


def build(meetings):
    """Build interactions; at first everybody meets everything, so that the ids are always these."""
    first = [(u, p, 0, 1.0, False, "first") for u in PEOPLE for p in PRODUCTS[: u + 1]]
    first += [(PEOPLE[0], p, 0, -1.0, False, "first") for p in PRODUCTS[1:]]
    rows = pd.DataFrame(
        [*first, *meetings],
        columns=["user_id", "product_id", "hour", "weight", "bought", "session_id"],
    )
    times = START + pd.to_timedelta(rows.pop("hour"), unit="h")
    return build_interactions(rows.assign(occurred_at=times))


def table(interactions):
    return sorted(
        zip(
            interactions.user.tolist(),
            interactions.product.tolist(),
            interactions.time.round(3).tolist(),
            interactions.weight.tolist(),
            strict=True,
        )
    )


def same(one, other):
    """Tell whether two splits learn the same and ask the same."""
    return (
        table(one.train) == table(other.train)
        and table(one.history) == table(other.history)
        and one.people.tolist() == other.people.tolist()
        and one.truth.shape == other.truth.shape
        and (one.truth != other.truth).nnz == 0
        and one.cut == other.cut
    )


@every_timed_protocol
@few
@given(meetings=MEETINGS)
def test_nothing_learned_from_or_known_lies_behind_the_cut(name, meetings):
    split = BY_TIME[name].split(build(meetings))

    assert (split.train.time < CUT).all()
    assert (split.history.time <= CUT).all()


@every_protocol
@few
@given(meetings=MEETINGS)
def test_what_tunes_comes_from_the_training_part_alone(name, meetings):
    protocol = PROTOCOLS[name]
    split = protocol.split(build(meetings))

    inner = protocol.validation().split(split.train)

    rows = set(split.train.row.tolist())
    assert set(inner.train.row.tolist()) <= rows
    assert set(inner.history.row.tolist()) <= rows
    met = {pair[1] for pair in table(split.train)}
    assert {int(product) for product in inner.truth.indices} <= met
    assert inner.cut <= split.cut


@every_protocol
@few
@given(meetings=MEETINGS)
def test_each_question_has_an_answer_that_can_be_ranked_and_was_not_known(name, meetings):
    split = PROTOCOLS[name].split(build(meetings))

    rankable = np.zeros(len(PRODUCTS), dtype=bool)
    rankable[split.train.product[split.train.weight > 0]] = True
    rankable = rankable if split.rankable is None else split.rankable
    assert rankable[split.truth.indices].all()
    assert (np.diff(split.truth.indptr)[split.people] > 0).all()
    assert len(np.flatnonzero(np.diff(split.truth.indptr))) == len(split.people)
    assert not split.exclude_seen or split.truth.multiply(split.seen).nnz == 0
    assert 0 <= split.unknown_share <= 1
    assert split.history.shape == split.truth.shape == split.seen.shape
    assert (np.diff(split.history.user) >= 0).all()


@every_protocol
@few
@given(meetings=AT_DIFFERENT_TIMES, data=st.data())
def test_the_order_of_the_rows_changes_nothing_where_the_times_tell(name, meetings, data):
    shuffled = data.draw(st.permutations(meetings))

    assert same(PROTOCOLS[name].split(build(meetings)), PROTOCOLS[name].split(build(shuffled)))


@every_timed_protocol
@few
@given(meetings=MEETINGS, planted=MEETINGS)
def test_another_future_changes_nothing_that_is_learned_from_or_tuned_by(name, meetings, planted):
    past = [meeting for meeting in meetings if meeting[2] < CUT_HOUR]
    future = [meeting for meeting in planted if meeting[2] >= CUT_HOUR]
    protocol = BY_TIME[name]

    without, with_it = (protocol.split(build(rows)) for rows in (past, [*past, *future]))

    assert table(without.train) == table(with_it.train)
    tuned = [protocol.validation().split(split.train) for split in (without, with_it)]
    assert same(*tuned)
    again = [protocol.validation().validation().split(split.train) for split in tuned]
    assert same(*again)
    assert buys_again(build(past), cut=CUT, window_s=WINDOW_S) == buys_again(
        build([*past, *future]), cut=CUT, window_s=WINDOW_S
    )


@every_protocol
def test_no_interactions_give_no_questions(name):
    data = build([])

    split = PROTOCOLS[name].split(data.take(np.zeros(len(data), dtype=bool)))

    assert len(split.people) == 0
    assert len(split.train) == 0


@every_protocol
def test_a_protocol_says_what_it_asks(name):
    protocol = PROTOCOLS[name]

    split = protocol.split(build([]))

    assert split.protocol == protocol.name
    assert split.source is protocol
    assert protocol.name.split(",")[0] in protocol.explain()


@pytest.mark.parametrize("kind", [TimeWindow, NextInVisit, SimilarProducts])
def test_an_impossible_window_is_refused(kind):
    with pytest.raises(ValueError, match="cut must be < end"):
        kind(2.0, 1.0)
    with pytest.raises(ValueError, match="the window that tunes must have a length"):
        kind(2.0).validation()
    assert kind(2 * DAY_S, 3 * DAY_S).validation() == kind(DAY_S, 2 * DAY_S)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_leaves_nothing_is_refused(share):
    with pytest.raises(ValueError, match="share must be"):
        RandomShare(share)
    with pytest.raises(ValueError, match="share must be"):
        ColdProducts(LastOut(), share)
