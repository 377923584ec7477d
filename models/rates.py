"""Rates from counts: how sure they are, and what to sort them by.

Of few trials a rate says little: one click after one impression is no rate of 100 %. The Wilson
score interval says how much it may be (E. B. Wilson, "Probable inference, the law of succession,
and statistical inference", JASA 22, 1927; recommended for few trials by L. D. Brown, T. T. Cai and
A. DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16, 2001). The
smoothed value is a rate to compare products by: with successes x of n trials and the rate p of the
whole shop it is

    (x + PRIOR_TRIALS * p) / (n + PRIOR_TRIALS)

the mean of a beta posterior whose prior is worth PRIOR_TRIALS trials at the shop's rate. A product
without trials has the shop's rate; with many, its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PRIOR_TRIALS = 50
#: Ratings are fewer than views: the shop's mean counts as this many.
PRIOR_RATINGS = 10
#: The quantile of the normal distribution that leaves 2.5 % on each side.
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with its bounds at 95 % and its smoothed value; no trials, no value."""

    value: float | None
    low: float | None
    high: float | None
    smoothed: float
    trials: int


def proportion(successes: float, trials: int, *, prior: float) -> Rate:
    """Give a proportion with its Wilson interval. `prior` is the whole shop's.

    Successes are taken as at least none and at most the trials: units sold may be more than views,
    and fewer than none when more came back than was sold in a period.
    """
    trials = max(trials, 0)
    successes = min(max(successes, 0), trials)
    low, high = wilson(successes, trials)
    return Rate(
        value=successes / trials if trials else None,
        low=low,
        high=high,
        smoothed=smooth(successes, trials, prior=prior, weight=PRIOR_TRIALS),
        trials=trials,
    )


def mean(total: float, trials: int, *, prior: float, weight: int = PRIOR_TRIALS) -> Rate:
    """Give an amount per trial. It is no proportion, so the Wilson interval is not for it."""
    trials = max(trials, 0)
    return Rate(
        value=total / trials if trials else None,
        low=None,
        high=None,
        smoothed=smooth(total, trials, prior=prior, weight=weight),
        trials=trials,
    )


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """Give the bounds between which a proportion lies at 95 %."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    weight = _Z * _Z / trials
    centre = share + weight / 2
    spread = _Z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    low, high = (centre - spread) / (1 + weight), (centre + spread) / (1 + weight)
    # The ends are exact; the floats on the way to them are not.
    return (
        0.0 if successes == 0 else max(low, 0.0),
        1.0 if successes == trials else min(high, 1.0),
    )


def smooth(total: float, trials: int, *, prior: float, weight: int) -> float:
    """Pull a rate towards the whole shop's, the more the fewer the trials."""
    return (total + weight * prior) / (trials + weight)
