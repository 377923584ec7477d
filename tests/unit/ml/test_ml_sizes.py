"""Sizes of sources by the memory of a training."""

from __future__ import annotations

from ml.budget import Budget
from ml.estimators.ease import estimate_memory_bytes
from ml.sizes import (
    FEWEST_EASE_PRODUCTS,
    NEIGHBOURS,
    SERVED_NEIGHBOURS,
    Sizes,
    choose_sizes,
)

GIGABYTE = 1_000_000_000


def test_without_a_bound_the_sizes_are_the_largest():
    assert choose_sizes(None, num_products=10**6) == Sizes()
    assert choose_sizes(Budget(1, 100 * GIGABYTE), num_products=10**5) == Sizes()


def test_the_memory_that_ease_may_take_bounds_its_products():
    some = choose_sizes(Budget(1, GIGABYTE)).ease_products

    assert FEWEST_EASE_PRODUCTS < some < Sizes().ease_products
    assert estimate_memory_bytes(some) <= GIGABYTE / 2
    assert choose_sizes(Budget(1, 1)).ease_products <= FEWEST_EASE_PRODUCTS


def test_what_else_is_in_memory_is_not_for_ease():
    small = Budget(1, 2 * GIGABYTE)
    some = choose_sizes(small).ease_products

    assert choose_sizes(small, num_interactions=15_000_000).ease_products < some
    assert choose_sizes(small, num_products=300_000).ease_products < some


def test_of_very_many_products_as_many_neighbours_are_learned_as_are_served():
    budget = Budget(1, 1_500_000_000)

    assert choose_sizes(budget, num_products=25_000).neighbours == NEIGHBOURS
    assert choose_sizes(budget, num_products=100_000).neighbours == SERVED_NEIGHBOURS


def test_never_fewer_neighbours_are_learned_than_are_served():
    assert all(NEIGHBOURS[name] >= served for name, served in SERVED_NEIGHBOURS.items())
