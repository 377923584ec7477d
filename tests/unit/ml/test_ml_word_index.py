"""Products by their words: rare words find, all words compare."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from ml.word_index import WordIndex

WORDS = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=25)


def unit_rows(has_word):
    words = np.array(has_word, np.float32) * np.arange(1, len(has_word[0]) + 1, dtype=np.float32)
    length = np.linalg.norm(words, axis=1, keepdims=True)
    return csr_array(words / np.where(length > 0, length, 1))


@given(has_word=WORDS)
def test_where_few_have_a_word_all_pairs_with_one_in_common_are_compared(has_word):
    features = unit_rows(has_word)

    cosines = WordIndex(features).cosines(slice(0, len(has_word)), 3)

    assert cosines.toarray() == pytest.approx((features @ features.T).toarray())


@given(has_word=WORDS, most=st.integers(1, 60))
def test_what_is_found_by_rare_words_is_compared_by_all(has_word, most):
    features = unit_rows(has_word)
    whole = (features @ features.T).toarray()

    found = WordIndex(features, most_compared=most).cosines(slice(0, len(has_word)), 3).toarray()

    assert found[found > 0] == pytest.approx(whole[found > 0])
    # The rarest word is never left out, so that whoever has a neighbour finds one.
    assert ((found > 0).any(axis=1) == (whole > 0).any(axis=1)).all()


def test_a_common_word_costs_no_more_than_the_bound():
    rare = np.repeat(np.eye(50), 2, axis=0)
    features = unit_rows(np.hstack((rare, np.ones((100, 1)))))

    found = WordIndex(features, most_compared=20).cosines(slice(0, 100), 5)

    assert found.nnz == 200
    assert found.toarray()[0, 1] == pytest.approx(1)
