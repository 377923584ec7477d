"""Which lists are judged for which shop, and by what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.dataset import DAY_S, build_interactions
from ml.parts import AGAIN, NEW, SESSION, SIMILAR
from ml.questions import FEWEST_ASKED, FEWEST_BUYERS, choose_questions, have_order

END = pd.Timestamp("2026-03-01", tz="UTC")


def build(rows):
    """Build interactions from (user, product, days before the end[, bought])."""
    full = [(*row, False)[:4] for row in rows]
    frame = pd.DataFrame(full, columns=["user_id", "product_id", "days", "bought"])
    age = pd.to_timedelta(frame.pop("days").astype(float), unit="D")
    return build_interactions(frame.assign(weight=1.0, occurred_at=END - age))


def shop(*, people=60, visits=6, again=0.0, in_order=True, bought=None, seed=0):
    """Return visits of three products over 30 days, of which a share was met in the one before."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        before = []
        for visit in range(visits):
            begun = 30.0 * (visits - visit - random.random()) / visits
            products = random.choice(200, 3, replace=False).tolist()
            if before and random.random() < again:
                products = before
            rows += [
                (f"u{person}", f"p{product}", begun - step / 1440 * in_order,
                 bought is not None and random.random() < bought)
                for step, product in enumerate(products)
            ]  # fmt: skip
            before = products
    return build(rows)


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (shop(), [NEW, SESSION, SIMILAR]),
        (shop(people=120, again=0.5), [NEW, AGAIN, SESSION, SIMILAR]),
        (shop(in_order=False), [NEW, SIMILAR]),
        (shop(people=120, again=0.5, in_order=False), [NEW, AGAIN, SIMILAR]),
        (shop(visits=1, people=400), [SESSION, SIMILAR]),
    ],
    ids=["people who return", "people who buy again", "orders", "orders bought again",
         "people met once"],
)  # fmt: skip
def test_a_shop_is_asked_what_it_can_answer(data, asked):
    questions = choose_questions(data, window_s=6 * DAY_S, seed=0)

    assert [question.name for question in questions] == asked


def test_lists_with_few_questions_are_judged_only_where_there_are_no_others():
    few, many = shop(people=8), shop(visits=1, people=400)

    for question in choose_questions(many, window_s=6 * DAY_S, seed=0):
        assert len(question.test.people) >= FEWEST_ASKED
    asked = choose_questions(few, window_s=1 * DAY_S, seed=0)
    assert 0 < max(len(question.test.people) for question in asked) < FEWEST_ASKED


def test_every_question_is_asked_after_what_is_learned_from_and_so_is_what_tunes():
    data = shop(again=0.6)
    cut = data.time.max() - 6 * DAY_S

    for question in choose_questions(data, window_s=6 * DAY_S, seed=0):
        validation = question.validation()
        assert question.test.cut == cut
        assert question.test.train.time.max() < cut
        assert (validation.cut, validation.end) == (cut - 6 * DAY_S, cut)
        assert validation.train.time.max() < validation.cut


@pytest.mark.parametrize(
    ("people", "bought", "goal"),
    [
        (FEWEST_BUYERS + 150, 0.7, "purchases"),
        (FEWEST_BUYERS // 2, 0.7, "products"),
        (FEWEST_BUYERS + 150, None, "products"),
        (FEWEST_BUYERS + 150, 1.0, "products"),
    ],
    ids=["enough buyers", "few buyers", "no purchases", "nothing but purchases"],
)
def test_purchases_are_asked_for_where_enough_people_bought(people, bought, goal):
    (question,) = [
        question
        for question in choose_questions(
            shop(people=people, bought=bought), window_s=6 * DAY_S, seed=0
        )
        if question.name == NEW
    ]

    assert question.test.protocol == f"later {goal} of people known before"


def test_where_nothing_can_be_asked_there_are_no_questions():
    once = build([(f"u{n}", f"p{n % 9}", n / 10) for n in range(200)])
    one_moment = build([(f"u{n % 9}", f"p{n % 7}", 1) for n in range(99)])

    assert choose_questions(once, window_s=4 * DAY_S, seed=0) == []
    assert choose_questions(one_moment, window_s=DAY_S, seed=0) == []


def test_the_days_that_judge_do_not_decide_which_lists_there_are():
    rows = [(f"u{n}", f"p{n * 7 % 90}", 20 - n / 40) for n in range(400)]
    at_once = [(f"u{n}", f"p{n * 5 % 80}", 20 - n / 40) for n in range(400)]
    later = [
        (f"v{n}", f"p{(n + step) % 90}", 3 - step / 1440) for n in range(90) for step in range(9)
    ]

    asked = choose_questions(build([*rows, *at_once, *later]), window_s=5 * DAY_S, seed=0)

    assert have_order(build([*rows, *at_once, *later]))
    assert [question.name for question in asked] == [SIMILAR]


def test_visits_have_an_order_where_most_products_follow_at_another_time():
    assert have_order(shop())
    assert not have_order(shop(in_order=False))
    assert not have_order(build([("u", "a", 1), ("u", "a", 0.999), ("v", "b", 0)]))
    assert not have_order(build([]))
