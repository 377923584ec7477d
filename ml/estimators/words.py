"""Products as bags of words: what is known of one that nobody met yet."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.validation import check_array

from ml.catalogue import TEXT_COLUMNS
from ml.estimators.parameters import check_parameters
from ml.estimators.table import ItemTable
from ml.text import split_words
from ml.word_index import WordIndex

# "Product 4711": a word that more of the products share says nothing.
COMMON_SHARE = 0.9


def word_features(catalogue: pd.DataFrame, *, min_products: int = 2) -> Any:
    """Return TF-IDF over the words of name, category, gender, color, material and size.

    A word in fewer than `min_products` products, or in more than nine tenths of them,
    tells nothing of one against another and is left out. Each row has the length
    1, or 0 where no word is left.

    Parameters
    ----------
    catalogue : DataFrame
        From `ml.catalogue.align_catalogue`.
    min_products : int

    Returns
    -------
    csr_array of float32, shape (products, words)
        With one empty column where no word is left at all.
    """
    texts = [" ".join(fields) for fields in zip(*(catalogue[c] for c in TEXT_COLUMNS), strict=True)]
    words = [split_words(text) for text in texts]
    num_products = Counter(word for its_words in words for word in set(its_words))
    most = max(min_products, COMMON_SHARE * len(texts))
    vocabulary = sorted(
        word for word, number in num_products.items() if min_products <= number <= most
    )
    if not vocabulary:
        return csr_array((len(texts), 1), dtype=np.float32)
    # The words are split already: the analyzer has nothing left to do.
    vectorizer = TfidfVectorizer(
        analyzer=list, vocabulary=vocabulary, sublinear_tf=True, dtype=np.float32
    )
    return csr_array(vectorizer.fit_transform(words))


class WordNeighbours(ItemTable):
    """The nearest products by the cosine of their words.

    In a catalogue of many products those are found that share rare words, see
    `ml.word_index`.

    It learns from one row per product, so it is no scikit-learn estimator as
    to `fit`; it transforms people by products as the other tables do.

    Parameters
    ----------
    k : int
        How many neighbours are kept per product.

    Attributes
    ----------
    index_, score_ : ndarray
        See `ItemTable`.
    """

    def __init__(self, k: int = 100) -> None:
        self.k = k

    def fit(self, features: Any, y: Any = None) -> Self:
        """Find the neighbours of each product.

        Parameters
        ----------
        features : csr_array, shape (products, words)
            Rows of the length 1 or 0, from `word_features`.
        y : ignored
        """
        check_parameters(self, at_least={"k": 1})
        features = csr_array(check_array(features, accept_sparse="csr", dtype=np.float32))
        self.n_features_in_ = features.shape[0]
        words = WordIndex(features)
        return self._keep_best(lambda rows: words.cosines(rows, self.k), features.shape[0])
