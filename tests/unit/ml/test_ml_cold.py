from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from ml.catalogue import align_catalogue
from ml.cold import NUM_KIN, find_kin
from ml.estimators.words import word_features
from ml.parts import AGAIN
from ml.scoring import ListScorer, SignalScorer
from ml.serving import Met


def features_of(*names):
    ids = [f"p{number}" for number in range(len(names))]
    return word_features(align_catalogue(pd.DataFrame({"product_id": ids, "name": names}), ids))


def test_kin_are_known_products_by_the_square_of_their_cosine():
    features = features_of("red bag", "red hat", "blue hat", "blue bag", "sofa", "red bag")
    known = np.array([True, True, True, False, False, False])

    kin = find_kin(features, known).toarray()

    cosine = (features @ features.T).toarray()
    for cold in (3, 5):
        expected = np.where(known, cosine[cold], 0) ** 2
        assert kin[cold] == pytest.approx(expected / expected.sum(), rel=1e-5)
    assert (kin[[0, 1, 2, 4]] == 0).all()


def test_each_row_of_kin_sums_to_one_and_holds_the_most_alike():
    random = np.random.default_rng(4)
    features = csr_array(random.random((60, 5)).astype(np.float32))
    known = random.random(60) < 0.6

    kin = find_kin(features, known)

    sizes = np.diff(kin.indptr)
    assert set(sizes[~known]) == {NUM_KIN}
    assert set(sizes[known]) == {0}
    assert known[kin.indices].all()
    assert kin.sum(axis=1)[~known] == pytest.approx(1.0)


@pytest.mark.parametrize("known", [[True] * 3, [False] * 3])
def test_where_all_are_known_or_none_is_there_are_no_kin(known):
    assert find_kin(features_of("bag", "bag", "bag"), np.array(known)).nnz == 0


def test_a_product_nobody_met_scores_as_its_kin_and_without_words_it_is_not_listed(served):
    sources = served.sources
    split_scorer = SignalScorer(sources, served.data, now=float(served.data.time.max()))

    scores = ListScorer(split_scorer, served.recipe.lists[AGAIN])(np.arange(5, dtype=np.int32))

    known = sources.known
    expected = scores[:, known] @ sources.kin[24:28].toarray()[:, known].T
    assert scores[:, 24:28] == pytest.approx(expected, abs=1e-5)
    assert (scores[:, 28] == -np.inf).all()
    listed = served.model.for_history([Met("p01", 1.0, 60.0)], 99)
    assert "p28" not in {item.product_id for item in listed}
