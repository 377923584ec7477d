"""How a history is remembered, against the same said in a plain loop."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.memory import DAY_S, LEAST, MEMORIES, Histories, Memory, Pairs

NUM_PRODUCTS = 4
DAYS = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.0, 30.0, 1000.0])
LINES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, NUM_PRODUCTS - 1),
        st.sampled_from([0.5, 1.0, 5.0, 1e30]),
        DAYS,
        st.booleans(),
    ),
    max_size=30,
)


def histories(lines):
    row, product, weight, days, bought = zip(*lines, strict=True) if lines else ((),) * 5
    return Histories(
        np.array(row, np.int64),
        np.array(product, np.int64),
        np.array(weight, np.float64),
        np.array(days, np.float64) * DAY_S,
        np.array(bought, bool),
    )


def remember(histories, memory, *, weight_exponent, num_products):
    pairs = Pairs(histories, num_products=num_products)
    strength = pairs.strengths(memory, weight_exponent=weight_exponent)
    kept = strength > 0
    return pairs.row[kept], pairs.product[kept], strength[kept]


def remember_plainly(lines, memory, exponent):
    kept = [line for line in lines if line[4] or not memory.bought_only]
    total, latest = defaultdict(float), {}
    for row, product, weight, days, _ in kept:
        age = max(days, 0.0)
        faded = 1.0 if memory.half_life_days is None else 0.5 ** (age / memory.half_life_days)
        total[row, product] += weight**exponent * faded
        latest[row, product] = min(age, latest.get((row, product), math.inf))
    if memory.step is None:
        strength = {pair: math.log1p(value) for pair, value in total.items()}
    else:
        strength = {
            (row, product): memory.step
            ** len({later for (other, _), later in latest.items() if other == row and later < age})
            for (row, product), age in latest.items()
        }
    return {pair: value for pair, value in strength.items() if value > LEAST}


@given(
    lines=LINES,
    memory=st.sampled_from(
        [*MEMORIES.values(), Memory(1.0, bought_only=True), Memory(step=0.01, bought_only=True)]
    ),
    exponent=st.sampled_from([0.0, 1.0, 2.0]),
)
def test_each_product_of_each_history_is_remembered_once_by_its_strength(lines, memory, exponent):
    row, product, strength = remember(
        histories(lines), memory, weight_exponent=exponent, num_products=NUM_PRODUCTS
    )

    found = list(zip(row.tolist(), product.tolist(), strict=True))
    expected = remember_plainly(lines, memory, exponent)
    assert found == sorted(expected)
    assert strength.dtype == np.float32
    assert strength.tolist() == pytest.approx([expected[pair] for pair in found], rel=1e-5)


def test_products_of_one_moment_count_alike_however_often_they_were_met():
    order = [(0, 0, 1.0, 2.0, True), (0, 1, 9.0, 2.0, False), (0, 1, 9.0, 2.0, False)]
    later = [(0, 2, 1.0, -3.0, False), (0, 3, 1.0, 0.0, False), (0, 0, 1.0, 7.0, False)]

    _, product, strength = remember(
        histories(order + later), Memory(step=0.5), weight_exponent=1.0, num_products=NUM_PRODUCTS
    )

    assert dict(zip(product.tolist(), strength.tolist(), strict=True)) == {
        0: 0.5, 1: 0.5, 2: 1.0, 3: 1.0,
    }  # fmt: skip
