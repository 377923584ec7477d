"""What each protocol asks, against the same said in a plain loop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
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
    choose_protocol,
    draw_people,
)
from ml.splits.similar import products_given
from ml.splits.window import choose_window_days, last_cut

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
    """Build interactions from (user, product, day[, weight[, bought[, session]]])."""
    full = [(*meeting, *(1.0, False, "")[len(meeting) - 3 :]) for meeting in meetings]
    names = ["user_id", "product_id", "day", "weight", "bought", "session_id"]
    rows = pd.DataFrame(full, columns=names)
    times = START + pd.to_timedelta(rows.pop("day"), unit="D")
    return build_interactions(rows.assign(occurred_at=times))


def pairs_of(data, matrix):
    return {(int(data.user_ids[u]), int(data.product_ids[p])) for u, p in np.argwhere(matrix)}


def questions_of(split):
    """Say who is asked, what is known in order, and what is asked for."""
    products = [int(product_id) for product_id in split.train.product_ids]
    return sorted(
        (
            int(split.history.user_ids[row]),
            [products[at] for at in split.history.product[split.history.user == row]],
            sorted(products[at] for at in split.truth[[row]].indices),
        )
        for row in split.people.tolist()
    )


@given(meetings=MEETINGS, exclude_seen=st.booleans())
def test_a_window_asks_known_people_for_known_products_they_meet_in_it(meetings, exclude_seen):
    data = build(meetings)

    split = TimeWindow(CUT, exclude_seen=exclude_seen).split(data)

    past = [meeting for meeting in meetings if meeting[2] < CUT_DAY]
    people, products = {m[0] for m in past}, {m[1] for m in past if m[3] > 0}
    seen = {(user, product) for user, product, _, _ in past}
    assert pairs_of(data, split.truth) == {
        (user, product)
        for user, product, day, weight in meetings
        if day >= CUT_DAY and weight > 0 and user in people and product in products
        and not (exclude_seen and (user, product) in seen)
    }  # fmt: skip
    came = {user for user, _, day, weight in meetings if day >= CUT_DAY and weight > 0}
    assert pairs_of(data, split.seen) == {pair for pair in seen if pair[0] in came}


def test_a_window_of_purchases_learns_from_everything_and_asks_for_what_was_bought():
    data = build([(1, 1, 0), (1, 2, 0), (1, 1, 6, 1.0, False), (1, 2, 6, 5.0, True), (1, 3, 9)])

    split = TimeWindow(CUT, exclude_seen=False, goal="bought").split(data)

    assert len(split.train) == 2
    assert pairs_of(data, split.truth) == {(1, 2)}


def test_what_comes_at_or_after_the_end_is_in_neither_part():
    data = build([(1, 1, 0), (2, 2, 0), (1, 2, 7), (3, 1, 6), (3, 2, 8)])
    end = CUT + 2 * DAY_S

    assert len(TimeWindow(CUT, end).split(data).people) == 0
    assert len(NextInVisit(CUT, end, gap_s=5 * DAY_S).split(data).people) == 0
    assert len(SimilarProducts(CUT, end).split(data).people) == 0


def test_the_share_of_products_nobody_knew_is_reported():
    data = build([(1, 1, 0), (1, 2, 0), (2, 3, 0), (1, 3, 6), (1, 4, 6)])

    assert TimeWindow(CUT).split(data).unknown_share == 0.5
    assert NextInVisit(CUT).split(data).unknown_share == 1
    assert SimilarProducts(CUT).split(data).unknown_share == 0


@given(meetings=MEETINGS)
def test_last_out_asks_for_the_last_liking_of_each_person_given_what_came_before(meetings):
    split = LastOut().split(build(meetings))

    truth, left = {}, list(enumerate(meetings))
    for user in {meeting[0] for meeting in meetings}:
        story = sorted(
            (entry for entry in enumerate(meetings) if entry[1][0] == user),
            key=lambda entry: (entry[1][2], entry[0]),
        )
        liked = [at for at, entry in enumerate(story) if entry[1][3] > 0]
        if liked and liked[-1] > 0:
            before = [entry[1][1] for entry in story[: liked[-1]]]
            truth[user] = (before, story[liked[-1]][1][1])
            left.remove(story[liked[-1]])
    known = {entry[1][1] for entry in left if entry[1][3] > 0}
    assert questions_of(split) == sorted(
        (user, before, [product])
        for user, (before, product) in truth.items()
        if product in known and product not in before
    )
    assert sorted(split.train.row.tolist()) == [entry[0] for entry in left]


def test_where_the_times_are_equal_the_order_of_the_rows_says_what_came_last():
    others = [(user, product, 0) for user in (8, 9) for product in (user, 1, 2, 3, user)]
    forth, back = build([*others, (1, 3, 7), (1, 1, 7)]), build([*others, (1, 1, 7), (1, 3, 7)])

    for protocol in (LastOut(), NextInVisit(CUT)):
        assert (1, [3], [1]) in questions_of(protocol.split(forth))
        assert (1, [1], [3]) in questions_of(protocol.split(back))


def test_ages_are_those_at_the_moment_of_the_question():
    data = build([(1, 1, 2), (1, 2, 6), (1, 3, 9), (9, 3, 0), (9, 2, 0)])

    splits = [LastOut().split(data), NextInVisit(CUT, gap_s=DAY_S * 3).split(data)]

    one = splits[0].history.take(splits[0].history.user == data.user_ids.index("1"))
    assert ((splits[0].cut - one.time) / DAY_S).tolist() == [7, 3]
    assert ((CUT - splits[1].history.time) / DAY_S).tolist() == [3]


@given(meetings=MEETINGS, share=st.sampled_from([0.2, 0.5]))
def test_a_random_share_of_the_products_of_each_person_is_asked_for(meetings, share):
    data = build([(*meeting[:3], 1.0) for meeting in meetings])

    split = RandomShare(share, seed=3).split(data)

    held = len(data) - len(split.train)
    assert held == sum(
        (data.user == u).sum() - (split.train.user == u).sum() for u in np.unique(data.user)
    )
    for user in np.unique(data.user):
        mine = set(data.product[data.user == user].tolist())
        kept = set(split.train.product[split.train.user == user].tolist())
        assert len(mine - kept) == round(share * len(mine))
    other = RandomShare(share, seed=3).split(data)
    assert (split.truth != other.truth).nnz == 0
    assert RandomShare(share, seed=3).validation().seed != 3


def visits_of(meetings, gap_days):
    """Cut the story of each person into visits, in a plain loop."""
    visits = []
    for user in sorted({meeting[0] for meeting in meetings}):
        story = sorted((m for m in meetings if m[0] == user), key=lambda meeting: meeting[2])
        for meeting in story:
            if not visits or visits[-1][-1][0] != user or meeting[2] - visits[-1][-1][2] > gap_days:
                visits.append([])
            visits[-1].append(meeting)
    return visits


@given(meetings=MEETINGS, repeats=st.booleans())
def test_each_next_product_of_a_visit_is_asked_for_given_the_visit_so_far(meetings, repeats):
    split = NextInVisit(CUT, gap_s=DAY_S, repeats=repeats).split(build(meetings))

    known = {product for _, product, day, weight in meetings if day < CUT_DAY and weight > 0}
    expected = []
    for visit in visits_of(meetings, 1):
        products = [meeting[1] for meeting in visit]
        for at in range(1, len(visit)):
            wanted = products[at] in known and visit[at][3] > 0
            if visit[0][2] >= CUT_DAY and wanted and (repeats or products[at] not in products[:at]):
                expected.append((visit[at][0], products[:at], [products[at]]))
    assert questions_of(split) == sorted(expected)


def test_a_session_is_a_visit_whatever_its_pauses():
    known = [(9, 1, 0), (9, 2, 0), (9, 3, 0)]
    visits = [(1, 1, 6, 1.0, False, "a"), (1, 2, 8, 1.0, False, "a"), (1, 3, 6, 1.0, False, "b")]
    data = build([*known, *visits])

    assert questions_of(NextInVisit(CUT).split(data)) == [(1, [1], [2])]


def test_of_very_many_questions_the_seed_draws_some():
    data = build([(user, (user + day) % 3, day) for user in range(40) for day in (0, 6, 7)])
    many = NextInVisit(CUT, gap_s=DAY_S).split(data)

    few, again = (NextInVisit(CUT, gap_s=DAY_S, most=7, seed=1).split(data) for _ in range(2))
    window = TimeWindow(CUT).split(data)
    drawn = draw_people(window, 7, seed=1)

    assert len(many.people) > 7
    assert questions_of(few) == questions_of(again)
    assert len(few.people) == len(drawn.people) == 7
    assert set(drawn.people) < set(window.people)
    assert draw_people(window, len(window.people), seed=1) is window


def test_questions_that_come_with_the_data_may_ask_for_what_was_given():
    data = build([(1, product, 0) for product in (1, 2, 3)])
    protocol = GivenQuestions(
        np.array([0, 1, 2], np.int32), np.array([0, 0, 1], np.int32), np.array([1, 0], np.int32),
        CUT, DAY_S,
    )  # fmt: skip

    split = protocol.split(data)

    assert [split.history.product[split.history.user == row].tolist() for row in (0, 1)] == [
        [0, 1],
        [2],
    ]
    assert split.truth.toarray().tolist() == [[False, True, False], [True, False, False]]
    assert not split.exclude_seen
    assert (CUT - split.history.time).tolist() == [60, 30, 30]


@given(meetings=MEETINGS)
def test_of_a_basket_one_product_is_given_and_the_others_are_asked_for(meetings):
    split = SimilarProducts(CUT, each=99).split(build(meetings))

    known = {product for _, product, day, weight in meetings if day < CUT_DAY and weight > 0}
    baskets = {}
    for user, product, day, weight in meetings:
        if day >= CUT_DAY and weight > 0:
            baskets.setdefault((user, day), set()).add(product)
    assert questions_of(split) == sorted(
        (user, [given_], sorted((basket - {given_}) & known))
        for (user, _), basket in baskets.items()
        for given_ in basket
        if (basket - {given_}) & known
    )
    assert (np.diff(split.seen.indptr) == 1).all()


def test_a_large_basket_is_asked_about_no_more_often_than_others():
    rows = [(9, product, 0) for product in range(20)]
    rows += [(1, product, 6, 1.0, True, "large") for product in range(20)]
    rows += [(2, product, 6, 1.0, True, "small") for product in range(2)]

    split = SimilarProducts(CUT, each=3).split(build(rows))

    asked = [split.history.user_ids[row] for row in split.people]
    assert sorted(asked) == ["1", "1", "1", "2", "2"]
    assert products_given(split, split.people).tolist() == split.history.product.tolist()
    assert len(SimilarProducts(CUT, most=4).split(build(rows)).people) == 4
    assert len(SimilarProducts(CUT, goal="met").split(build(rows)).people) == 5


def test_of_cold_products_nothing_is_known_and_they_are_ranked_alone():
    data = build(
        [(u, p, 0) for u in range(8) for p in range(10) if (u + p) % 2]
        + [(u, p, 6) for u in range(8) for p in range(10) if not (u + p) % 2]
    )

    split = ColdProducts(TimeWindow(CUT), share=0.3, seed=4).split(data)

    cold = np.flatnonzero(split.rankable)
    assert len(cold) == 3
    assert not set(split.train.product) & set(cold)
    assert not set(split.history.product) & set(cold)
    assert set(split.truth.indices) <= set(cold)
    assert len(split.people) == 8


@pytest.mark.parametrize(("span_days", "window_days"), [(0, 1 / 24), (2, 0.4), (50, 10), (400, 30)])
def test_the_window_is_a_fifth_of_the_span_within_an_hour_and_a_month(span_days, window_days):
    assert choose_window_days(build([(1, 1, 0), (1, 1, span_days)])) == window_days


def test_the_last_window_begins_its_length_before_the_last_interaction():
    data = build([(1, 1, 0), (1, 1, 10)])
    nothing = data.take(np.zeros(2, dtype=bool))

    assert last_cut(data, 3) == START.timestamp() + 7 * DAY_S
    assert choose_window_days(nothing) == 1 / 24
    with pytest.raises(ValueError, match="window_days must be > 0"):
        last_cut(data, 0)
    with pytest.raises(ValueError, match="no interactions"):
        last_cut(nothing, 1)


def test_people_who_come_back_are_asked_what_they_meet_later_and_others_within_the_visit():
    many = [(user, product, day) for user in range(30) for product, day in ((1, 0), (2, 9))]
    again = [(user, 1, day) for user in range(30) for day in (0, 2, 4, 6, 9)]
    once = [(user, product, user / 4) for user in range(40) for product in (1, 2)]

    assert choose_protocol(build([*many, (99, 2, 0)])).exclude_seen
    assert not choose_protocol(build(again)).exclude_seen
    assert isinstance(choose_protocol(build(once)), NextInVisit)
