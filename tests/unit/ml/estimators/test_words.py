from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from ml.catalogue import align_catalogue
from ml.estimators.words import WordNeighbours, word_features


def catalogue_of(*names: str, **columns: Sequence[str]) -> pd.DataFrame:
    product_ids = [f"p{number}" for number in range(len(names))]
    frame = pd.DataFrame({"product_id": product_ids, "name": list(names)} | columns)
    return align_catalogue(frame, product_ids)


def test_words_of_one_product_alone_are_left_out() -> None:
    features = word_features(catalogue_of("red bag", "red hat", "BAG seven", "unheard-of"))

    lengths = np.sqrt((features.toarray() ** 2).sum(axis=1))
    assert features.shape == (4, 2)
    assert features.dtype == np.float32
    assert lengths == pytest.approx([1, 1, 1, 0])


def test_values_joined_by_a_bar_are_words_each() -> None:
    features = word_features(catalogue_of("", "", "", color=["red|blue", "red", "blue"])).toarray()

    assert features[0] @ features[1] > 0
    assert features[0] @ features[2] > 0
    assert features[1] @ features[2] == 0


def test_a_word_said_ten_times_counts_less_than_ten_times() -> None:
    features = word_features(catalogue_of("bag " * 10 + "red", "bag red", "red", "bag"))

    bag, red = sorted(features.toarray()[0], reverse=True)
    assert 1 < bag / red < 4


@pytest.mark.parametrize("names", [[], ["", ""], ["???", "-"], ["one", "two"]])
def test_a_catalogue_without_words_has_one_empty_feature(names: list[str]) -> None:
    features = word_features(catalogue_of(*names))

    assert features.shape == (len(names), 1)
    assert features.nnz == 0


def test_neighbours_share_the_most_words() -> None:
    english = ["red leather bag", "red leather hat", "blue leather bag", "blue pen"]
    features = word_features(catalogue_of(*english, "赤い鞄", "赤い鞄"))

    model = WordNeighbours(2).fit(features)

    cosines = cosine_similarity(features)
    assert model.index_.tolist() == [[1, 2], [0, 2], [0, 3], [2, -1], [5, -1], [4, -1]]
    assert model.score_[0] == pytest.approx(cosines[0, [1, 2]])
    assert model.transform(np.eye(6)[:1])[0] == pytest.approx([0, *cosines[0, 1:3], 0, 0, 0])
