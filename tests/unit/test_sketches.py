"""Sketches of people: small, merged without loss, and within the bounds they tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sketches import Crowd


def crowd_of(*ids: str) -> Crowd:
    crowd = Crowd()
    for text in ids:
        crowd.add(text)
    return crowd


def merged(*crowds: Crowd) -> Crowd:
    union = Crowd()
    for crowd in crowds:
        union.merge(crowd.as_bytes())
    return union


@given(
    st.lists(st.sets(st.text(st.characters(exclude_categories=("Cs",)), min_size=1)), max_size=4)
)
def test_a_few_ids_are_counted_exactly_however_they_are_merged(days: list[set[str]]) -> None:
    estimate = merged(*(crowd_of(*day) for day in days)).estimate()

    assert estimate.value == estimate.low == len(set().union(*days))


@pytest.mark.parametrize("people", [1_000, 20_000, 100_000])
def test_many_ids_are_within_the_bounds(people: int) -> None:
    days = [crowd_of(*(f"anon-{n}" for n in range(start, people, 3))) for start in range(3)]
    overlapping = crowd_of(*(f"anon-{n}" for n in range(0, people, 2)))

    estimate = merged(*days, overlapping).estimate()

    assert estimate.low <= people <= estimate.high
    assert estimate.relative_error < 0.02


def test_the_stored_sketch_of_a_day_stays_small() -> None:
    assert len(crowd_of(*(str(n) for n in range(100_000))).as_bytes()) < 9_000
    assert len(crowd_of("u1").as_bytes()) < 20


def test_nobody_is_counted_as_nobody() -> None:
    nobody = Crowd()
    nobody.merge(None)

    assert nobody.estimate().value == nobody.estimate().relative_error == 0
