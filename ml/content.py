"""Content similarity: 70 % words, 20 % price, 10 % rating."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from ml.catalogue import TEXT_COLUMNS
from ml.ranking import FloatTable, IntTable, blocks, top_k
from ml.text import split_words

NEUTRAL_QUANTILES = 256


class ContentNeighbours:
    """The most similar products by what they are, whoever met them.

    similarity(i, j) = 0.70 · cosine of TF-IDF over name, category, gender, color, material, size
    + 0.20 · 1 / (1 + |z_i - z_j|), z the z-score of the price
    + 0.10 · (1 - |r_i - r_j|), r the average rating / 5.

    A pair with an unknown price (or rating) takes the average proximity of
    the known ones, so that not knowing neither helps nor hurts. A product of
    which nothing is known has no neighbours and is nobody's neighbour.

    Parameters
    ----------
    neighbours : int
        How many are kept per product.
    text_weight, price_weight, rating_weight : float

    Attributes
    ----------
    index_ : ndarray of int32, shape (products, neighbours)
        Best first, -1 where there is none.
    score_ : ndarray of float32, same shape
    shares_words_ : ndarray of bool, same shape
        Whether the pair has a word in common.
    """

    index_: IntTable
    score_: FloatTable
    shares_words_: npt.NDArray[np.bool_]

    def __init__(
        self,
        neighbours: int = 50,
        *,
        text_weight: float = 0.70,
        price_weight: float = 0.20,
        rating_weight: float = 0.10,
    ) -> None:
        self.neighbours = neighbours
        self.text_weight = text_weight
        self.price_weight = price_weight
        self.rating_weight = rating_weight

    def fit(self, catalogue: pd.DataFrame) -> ContentNeighbours:
        """Find the neighbours of each product.

        The products are compared in blocks: memory grows with the number of
        products, time with its square.

        Parameters
        ----------
        catalogue : DataFrame
            From `ml.catalogue.align_catalogue`.
        """
        if self.neighbours < 1:
            raise ValueError(f"neighbours must be >= 1, got {self.neighbours}")
        self.text_ = _text_matrix(catalogue)
        self.price_ = _z_scores(catalogue["price"].to_numpy(np.float32))
        self.rating_ = catalogue["avg_rating"].to_numpy(np.float32) / np.float32(5)
        self.neutral_price_ = _average_proximity(self.price_, _price_proximity)
        self.neutral_rating_ = _average_proximity(self.rating_, _rating_proximity)
        self.known_ = (
            _has_telling_words(self.text_) | np.isfinite(self.price_) | np.isfinite(self.rating_)
        )
        self._text_by_word = self.text_.T.tocsr()
        self._find_neighbours(len(catalogue))
        return self

    def similarity(self, rows: slice) -> tuple[FloatTable, FloatTable]:
        """Return similarity and word cosine of some products to all: two (rows, products)."""
        cosine = (self.text_[rows] @ self._text_by_word).toarray()
        similarity = self.text_weight * cosine
        similarity += self.price_weight * _pairs(
            self.price_[rows], self.price_, _price_proximity, self.neutral_price_
        )
        similarity += self.rating_weight * _pairs(
            self.rating_[rows], self.rating_, _rating_proximity, self.neutral_rating_
        )
        return similarity, cosine

    def _find_neighbours(self, num_products: int) -> None:
        width = min(self.neighbours, max(num_products - 1, 0))
        self.index_ = np.full((num_products, width), -1, np.int32)
        self.score_ = np.zeros((num_products, width), np.float32)
        self.shares_words_ = np.zeros((num_products, width), np.bool_)
        for rows in blocks(num_products, num_products) if self.known_.any() else ():
            similarity, cosine = self.similarity(rows)
            own = np.arange(rows.start, rows.stop)
            similarity[np.arange(len(own)), own] = -np.inf
            similarity[:, ~self.known_] = -np.inf
            similarity[~self.known_[rows]] = -np.inf
            index, score = top_k(similarity, width)
            self.index_[rows], self.score_[rows] = index, score
            shared = np.take_along_axis(cosine, np.maximum(index, 0), axis=1) > 0
            self.shares_words_[rows] = shared & (index >= 0)


def _text_matrix(catalogue: pd.DataFrame) -> Any:
    texts = [" ".join(fields) for fields in zip(*(catalogue[c] for c in TEXT_COLUMNS), strict=True)]
    if not any(split_words(text) for text in texts):
        return csr_array((len(texts), 1), dtype=np.float32)
    return csr_array(TfidfVectorizer(analyzer=split_words, dtype=np.float32).fit_transform(texts))


def _has_telling_words(text: Any) -> npt.NDArray[np.bool_]:
    """Return which products have a word that not every product has."""
    num_products = text.shape[0]
    shared = np.bincount(text.indices, minlength=text.shape[1]) == num_products
    row = np.repeat(np.arange(num_products), np.diff(text.indptr))
    return np.bincount(row[~shared[text.indices]], minlength=num_products) > 0


def _z_scores(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    known = values[np.isfinite(values)].astype(np.float64)
    if known.size == 0:
        return values
    spread = known.std()
    scores = (values.astype(np.float64) - known.mean()) / (spread if spread > 0 else 1.0)
    return np.asarray(scores, dtype=np.float32)


def _price_proximity(distance: FloatTable) -> FloatTable:
    return 1.0 / (1.0 + distance)


def _rating_proximity(distance: FloatTable) -> FloatTable:
    return 1.0 - distance


def _average_proximity(values: npt.NDArray[np.float32], proximity: Any) -> np.float32:
    """Average over all pairs of known values, from at most 256 of their quantiles."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return np.float32(0.5)
    points = np.quantile(known, np.linspace(0, 1, min(NEUTRAL_QUANTILES, known.size)))
    return np.float32(proximity(np.abs(points[:, None] - points[None, :])).mean())


def _pairs(
    left: npt.NDArray[np.float32],
    right: npt.NDArray[np.float32],
    proximity: Any,
    neutral: np.float32,
) -> FloatTable:
    near = proximity(np.abs(left[:, None] - right[None, :]))
    unknown = ~np.isfinite(right)
    near[:, unknown] = neutral
    near[~np.isfinite(left)] = neutral
    return np.asarray(near, dtype=np.float32)
