from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from ml.budget import Budget, Stopwatch
from ml.dataset import DAY_S
from ml.evaluate import evaluate
from ml.memory import Memory
from ml.recipe import Choices
from ml.remembered import Remembered
from ml.signals import FACTORS, TABLES
from ml.sizes import Sizes
from ml.splits import TimeWindow
from ml.tune import FEWEST_PEOPLE, GRIDS, HALF_LIVES, tune_choices

SOURCES = [*TABLES, FACTORS]


@pytest.fixture
def validation(lively_shop):
    data, _ = lively_shop
    return TimeWindow(data.time.max() - 12 * DAY_S, exclude_seen=False).split(data)


def tune(split, *, watch=None, sources=SOURCES, told=None):
    return tune_choices(
        split,
        sources=sources,
        watch=watch or Stopwatch(),
        tell=(told if told is not None else []).append,
        sizes=Sizes(ease_products=100),
        seed=0,
    )


def first_of_each_grid():
    changes = {name: value for grid in GRIDS.values() for name, value in grid[0].items()}
    return replace(Choices(), **changes)


def test_the_half_life_is_the_one_that_did_best_in_the_window(validation):
    chosen = tune(validation, sources=[])

    def ndcg(half_life):
        remembered = Remembered(validation.train, now=validation.cut)
        score = remembered.popularity(Memory(half_life), Choices().weight_exponent)
        result = evaluate(lambda people: np.tile(score, (len(people), 1)), validation)
        return float(result.ndcg.mean())

    assert chosen.popularity_half_life_days == max(HALF_LIVES, key=ndcg)


def test_each_source_is_tuned_by_one_of_its_grid_and_told(validation):
    told = []

    chosen = tune(validation, told=told)

    assert told == ["popularity", "weights", *GRIDS]
    for grid in GRIDS.values():
        assert any(replace(chosen, **changes) == chosen for changes in grid)
    assert tune(validation) == chosen


def test_with_few_people_the_first_of_each_grid_is_taken(validation):
    few = replace(validation, people=validation.people[: FEWEST_PEOPLE - 1])
    told = []

    assert tune(few, told=told) == first_of_each_grid()
    assert told == []


def test_when_the_time_is_spent_nothing_more_is_tried_than_has_begun(validation):
    seconds = count()
    watch = Stopwatch(Budget(1.0, 1), clock=lambda: float(next(seconds)))

    chosen = tune(validation, watch=watch)

    # Of each grid the pair that is tried at once.
    for grid in GRIDS.values():
        assert any(replace(chosen, **changes) == chosen for changes in grid[:2])


def test_weights_are_tuned_only_where_they_differ(validation):
    train = validation.train
    alike = replace(validation, train=replace(train, weight=np.ones(len(train), np.float32)))
    told = []

    assert tune(alike, told=told, sources=[]).weight_exponent == Choices().weight_exponent
    assert told == ["popularity"]
