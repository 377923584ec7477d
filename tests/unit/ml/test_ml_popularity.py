from __future__ import annotations

import numpy as np
import pytest

from ml.popularity import RecentPopularity


def test_each_person_adds_the_logarithm_of_what_they_did(known_matrix, noon):
    model = RecentPopularity().fit(known_matrix, now=noon.timestamp())

    assert model.score_ == pytest.approx(np.log(2) * np.array([3, 3, 2, 1]))


def test_what_was_popular_fades(interactions_of, noon):
    data = interactions_of(("u1", "old", 60), ("u2", "old", 60), ("u3", "new", 0))

    plain = RecentPopularity().fit(data, now=noon.timestamp())
    recent = RecentPopularity(30).fit(data, now=noon.timestamp())

    assert plain.score_.argmax() == data.product_ids.index("old")
    assert recent.score_.argmax() == data.product_ids.index("new")


def test_one_person_with_a_million_does_not_make_a_product_popular(interactions_of, noon):
    data = interactions_of(
        ("bot", "pushed", 0, 1e6), *((f"u{n}", "liked", 0, 1.0) for n in range(25))
    )

    model = RecentPopularity(30).fit(data, now=noon.timestamp())

    assert model.score_.argmax() == data.product_ids.index("liked")
