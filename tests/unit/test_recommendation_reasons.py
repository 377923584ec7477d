"""Reasons name products as people know them."""

from __future__ import annotations

import pytest

from app.recommend.lists import name_cause
from ml.reasons import because_of, known_already
from ml.serving import Recommendation


@pytest.mark.parametrize("product_id", ["lamp-7", "in", "e", "because", "your interest in"])
def test_the_name_stands_where_the_id_stood_and_nowhere_else(product_id):
    item = Recommendation("sofa", 1.0, because_of(product_id), "person", product_id)

    assert name_cause(item, "Lamp") == "because of your interest in Lamp"


def test_that_something_was_met_before_names_nothing():
    item = Recommendation("before", 1.0, known_already(), "again", "before")

    assert name_cause(item, "Lamp") == known_already()
