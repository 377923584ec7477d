"""Figures beside their limits: told in JSON and in tables, and never an error."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from bench.export import Result as Exported
from bench.limits import Limit
from bench.store import Way, check_limits
from bench.train import Figures
from cli.bench_limits import print_limits


@pytest.mark.parametrize(
    ("value", "is_most", "ok"),
    [(1.3, True, True), (1.31, True, False), (1.3, False, True), (1.29, False, False)],
)
def test_a_figure_at_its_limit_keeps_to_it(value: float, is_most: bool, ok: bool) -> None:
    limit = Limit("cpu", value, 1.3, is_most=is_most)

    bound = "at_most" if is_most else "at_least"
    assert limit.as_answer() == {"name": "cpu", "value": value, bound: 1.3, "ok": ok}


def test_a_missed_limit_is_told_beside_one_that_is_kept() -> None:
    told = StringIO()

    print_limits(Console(file=told), [Limit("a", 2, 1), Limit("b", 2, 1, is_most=False)])

    lines = told.getvalue().splitlines()
    assert any("a " in line and "at most 1" in line and "missed" in line for line in lines)
    assert any("b " in line and "at least 1" in line and "ok" in line for line in lines)


def test_only_the_usual_way_of_storing_has_a_limit() -> None:
    ways = [Way("lines", 13.0, 1.0, 10.0), Way("statement", 40.0, 1.0, 10.0)]

    assert [(item.value, item.is_kept) for item in check_limits(ways)] == [(1.3, True)]


def test_an_export_is_held_to_its_rate_and_to_memory_that_does_not_grow() -> None:
    slow = Exported("csv", 5_000, 100.0, 400.0, {1_000: 100.0, 5_000: 130.0})
    fast = Exported("csv", 5_000, 200.0, 400.0, {1_000: 100.0, 5_000: 100.0})

    assert [item.is_kept for item in slow.limits()] == [False, False]
    assert [item.is_kept for item in fast.limits()] == [True, True]


@pytest.mark.parametrize(("products", "most_mb"), [(100, 20.0), (10_000, 20.0), (15_000, 30.0)])
def test_a_model_of_more_products_may_be_larger(products: int, most_mb: float) -> None:
    figures = Figures("promoted", "", 1, products, {"read": 20.5, "tune": 39.5}, 1.0, 1.0, 1.0)

    seconds, _, artefact = figures.limits()
    assert (seconds.value, seconds.is_kept) == (60.0, True)
    assert artefact.limit == most_mb
