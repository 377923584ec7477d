"""How sure a mean is: intervals by the bootstrap, whose draws are people."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml.ranking import blocks

PerQuestion = npt.NDArray[np.float64]


def paired_interval(
    first: PerQuestion,
    second: PerQuestion | float = 0.0,
    *,
    seed: int,
    person: npt.NDArray[Any] | None = None,
    rounds: int = 2000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """Return the mean of first - second and its bootstrap interval (mean, low, high).

    People are drawn with replacement [1]_, each with all of their questions and with both
    figures: the moments of one visit are alike, and the same question is easy or hard for both
    models. Drawn one by one, questions of the same people would look surer than they are.

    Parameters
    ----------
    first, second : ndarray, shape (questions,)
        Figures of the same questions in the same order; `second` may be one number.
    seed : int
    person : ndarray of int, shape (questions,), optional
        Whose each question is, in numbers from 0 without a gap; None: each is of another person.

    References
    ----------
    .. [1] Field, Welsh: Bootstrapping clustered data, Journal of the Royal Statistical Society B
       69, 2007.
    """
    difference = np.asarray(first - second, dtype=np.float64)
    if difference.size == 0:
        return 0.0, 0.0, 0.0
    person = np.arange(difference.size) if person is None else person
    total, count = np.bincount(person, difference), np.bincount(person)
    random = np.random.default_rng(seed)
    means = np.empty(rounds)
    for rows in blocks(rounds, len(total)):
        drawn = random.integers(len(total), size=(rows.stop - rows.start, len(total)))
        means[rows] = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(difference.mean()), float(low), float(high)
