"""Intervals by the bootstrap, whose draws are people."""

from __future__ import annotations

import numpy as np
import pytest

from ml.gate import decide
from ml.intervals import paired_interval


def test_questions_asked_of_the_same_people_again_make_nothing_surer():
    once = np.random.default_rng(0).normal(0.1, 1, 200)
    again = np.repeat(once, 25)

    interval = paired_interval(again, seed=1, person=np.repeat(np.arange(200), 25))

    assert interval == pytest.approx(paired_interval(once, seed=1))


def test_the_mean_counts_each_question_once_however_many_a_person_has():
    mean, low, high = paired_interval(
        np.array([1.0, 1.0, 1.0, 0.0]), seed=1, person=np.array([0, 0, 0, 1])
    )

    assert (mean, low, high) == (0.75, 0.0, 1.0)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(2)
    person = np.repeat(np.arange(100), 10)
    held = 0
    for seed in range(200):
        figures = random.normal(0, 1, 100)[person] + random.normal(0, 1, 1000)
        _, low, high = paired_interval(figures, seed=seed, person=person, rounds=400)
        held += low <= 0 <= high

    assert 180 <= held <= 198


def test_what_few_people_with_many_questions_tell_is_not_proven():
    person = np.repeat(np.arange(12), 40)
    better = np.random.default_rng(3).normal(0.1, 0.3, 12)[person]
    popular = np.zeros(len(person))

    assert decide(better, popular).promote
    assert not decide(better, popular, person=person).promote
