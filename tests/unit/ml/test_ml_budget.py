"""The budget of a training, against a clock that the test moves."""

from __future__ import annotations

import pytest

from ml.budget import Budget, Stopwatch


def test_a_stopwatch_tells_what_is_left_of_the_budget():
    moments = iter([100.0, 104.0, 109.0, 110.0, 120.0])
    watch = Stopwatch(Budget(10.0, 1), clock=lambda: next(moments))

    assert watch.elapsed_s() == 4.0
    assert watch.left_s() == 1.0
    assert watch.is_spent()
    assert watch.left_s() == 0.0


def test_without_a_budget_there_is_no_end():
    watch = Stopwatch(clock=lambda: 0.0)

    assert watch.left_s() == float("inf")
    assert not watch.is_spent()


@pytest.mark.parametrize(
    ("seconds", "memory_bytes", "name"),
    [(0, 1, "seconds"), (float("nan"), 1, "seconds"), (1, 0, "memory_bytes")],
)
def test_a_budget_of_nothing_is_refused(seconds, memory_bytes, name):
    with pytest.raises(ValueError, match=f"{name} must be > 0"):
        Budget(seconds, memory_bytes)
