from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.dataset import Interactions, build_interactions
from ml.estimators.sequences import SequenceRules

A, B, C, D = range(4)
MINUTE = 60.0
DAY = 86_400.0


def story(*steps: tuple[str, str, float], **columns: Any) -> Interactions:
    """Build interactions from rows of (person, product, seconds), of weight 1."""
    frame = pd.DataFrame(list(steps), columns=["user_id", "product_id", "time"])
    frame["occurred_at"] = pd.Timestamp("2026-03-01") + pd.to_timedelta(frame["time"], unit="s")
    return build_interactions(frame.assign(**{"weight": 1.0} | columns))


def one_visit(products: str, person: str = "u") -> list[tuple[str, str, float]]:
    return [(person, product, MINUTE * step) for step, product in enumerate(products)]


def table_of(interactions: Interactions, **parameters: Any) -> np.ndarray:
    return SequenceRules(**parameters).fit(interactions).table_matrix().toarray()


def test_what_came_sooner_after_counts_more_and_never_backwards() -> None:
    table = table_of(story(*one_visit("abcd")))

    assert table[A].tolist() == pytest.approx([0, 1, 1 / 2, 1 / 3])
    assert table[B].tolist() == pytest.approx([0, 0, 1, 1 / 2])
    assert table[D].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [("reciprocal", [1, 1 / 2]), ("linear", [1, 1 / 2]), ("none", [1, 1])],
)
def test_the_reach_ends_a_pair(decay: str, expected: list[float]) -> None:
    table = table_of(story(*one_visit("abcd")), reach=2, decay=decay)

    assert table[A].tolist() == pytest.approx([0, *expected, 0])


def test_a_rule_is_a_share_of_the_times_that_something_followed() -> None:
    interactions = story(*one_visit("ab", "u"), *one_visit("ac", "v"), *one_visit("ca", "w"))

    assert table_of(interactions)[A].tolist() == pytest.approx([0, 1 / 2, 1 / 2])
    assert table_of(interactions, exponent=0.0)[A].tolist() == pytest.approx([0, 1, 1])
    assert table_of(interactions, exponent=0.5)[A].tolist() == pytest.approx([0, *[2**-0.5] * 2])


def test_the_same_product_again_is_no_rule_but_a_step() -> None:
    table = table_of(story(*one_visit("aab")))

    assert table[A].tolist() == pytest.approx([0, (1 + 1 / 2) / 2])


def test_a_pair_lies_within_a_visit_of_one_person() -> None:
    pause = story(("u", "a", 0.0), ("u", "b", 31 * MINUTE), ("v", "c", 32 * MINUTE))

    assert table_of(pause).sum() == 0
    assert table_of(pause, gap_s=None)[A].tolist() == [0, 1, 0]
    assert table_of(pause, gap_s=31 * MINUTE)[A].tolist() == [0, 1, 0]


def test_where_sessions_are_known_they_are_the_visits() -> None:
    steps = (("u", "a", 0.0), ("u", "b", 60 * MINUTE), ("u", "c", 61 * MINUTE))

    table = table_of(story(*steps, session_id=["s1", "s1", "s2"]))

    assert table[A].tolist() == [0, 1, 0]
    assert table[B].tolist() == [0, 0, 0]


def test_at_equal_times_the_earlier_row_came_first() -> None:
    assert table_of(story(("u", "b", 0.0), ("u", "a", 0.0)))[B].tolist() == [1, 0]


def test_old_pairs_fade() -> None:
    interactions = story(
        ("u", "a", 0.0), ("u", "b", MINUTE), ("v", "a", 7 * DAY), ("v", "c", 7 * DAY + MINUTE)
    )

    table = table_of(interactions, half_life_days=7.0)

    assert table[A].tolist() == pytest.approx([0, 1 / 3, 2 / 3], rel=1e-3)


def test_a_product_taken_out_of_the_cart_is_no_step() -> None:
    table = table_of(story(*one_visit("abc"), weight=[1.0, -1.0, 1.0]))

    assert table[A].tolist() == [0, 0, 1]


def test_the_latest_of_a_history_says_most_if_its_strength_does() -> None:
    model = SequenceRules().fit(story(*one_visit("abcd")))

    scores = model.transform(np.array([[0.5, 1.0, 0.0, 0.0]]))

    assert scores.tolist() == [pytest.approx([0, 0.5, 1.25, 1 / 6 + 1 / 2])]


@pytest.mark.parametrize("steps", [0, 1])
def test_no_pairs_give_no_rules(steps: int) -> None:
    interactions = story(*one_visit("ab")).take(np.arange(steps))

    model = SequenceRules().fit(interactions)

    assert (model.index_ == -1).all()
    assert model.transform(np.ones((1, 2))).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"reach": 0}, "reach must be >= 1, got 0"),
        ({"decay": "cubic"}, "decay must be one of reciprocal, linear, none, got 'cubic'"),
        ({"gap_s": -1.0}, "gap_s must be >= 0, got -1.0"),
        ({"half_life_days": 0.0}, "half_life_days must be > 0, got 0.0"),
    ],
)
def test_a_parameter_beyond_its_limit_is_refused(parameters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequenceRules(**parameters).fit(story(*one_visit("ab")))
