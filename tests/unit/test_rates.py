"""Rates: the Wilson interval against published figures, and smoothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rates import PRIOR_TRIALS, mean, proportion, smooth, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_the_interval_is_the_published_one(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert wilson(successes, trials) == (
        pytest.approx(low, abs=5e-5),
        pytest.approx(high, abs=5e-5),
    )


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_rate_lies_in_its_interval_and_this_between_none_and_one(a: int, b: int) -> None:
    trials, successes = max(a, b), min(a, b)
    rate = proportion(successes, trials, prior=0.5)

    assert rate.low is not None
    assert rate.high is not None
    assert 0 <= rate.low <= rate.high <= 1
    assert rate.value is None or rate.low <= rate.value <= rate.high
    assert 0 <= rate.smoothed <= 1


@pytest.mark.parametrize(("successes", "taken"), [(-3, 0.0), (0, 0.0), (4, 0.4), (12, 1.0)])
def test_successes_are_at_least_none_and_at_most_the_trials(successes: int, taken: float) -> None:
    assert proportion(successes, 10, prior=0).value == taken


def test_without_trials_there_is_no_value_and_the_shop_speaks() -> None:
    rate = proportion(0, 0, prior=0.3)

    assert (rate.value, rate.low, rate.high, rate.trials) == (None, 0.0, 1.0, 0)
    assert rate.smoothed == pytest.approx(0.3)


def test_few_trials_are_pulled_to_the_shop_and_many_are_not() -> None:
    lucky, proven = proportion(1, 1, prior=0.1), proportion(3000, 10_000, prior=0.1)

    assert lucky.smoothed == (1 + PRIOR_TRIALS * 0.1) / (1 + PRIOR_TRIALS)
    assert proven.smoothed == pytest.approx(0.3, abs=0.002)
    assert lucky.smoothed < proven.smoothed


def test_an_amount_per_trial_has_no_interval() -> None:
    rate = mean(50.0, 4, prior=2.0)

    assert (rate.value, rate.low, rate.high) == (12.5, None, None)
    assert rate.smoothed == smooth(50.0, 4, prior=2.0, weight=PRIOR_TRIALS)
