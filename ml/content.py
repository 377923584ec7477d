"""Content similarity: 70 % words, 20 % price, 10 % rating."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from ml.catalogue import TEXT_COLUMNS
from ml.estimators.table import best_neighbours
from ml.ranking import FloatTable, IntTable, blocks, top_k, top_k_entries
from ml.text import split_words
from ml.word_index import WordIndex, pairs_of

NEUTRAL_QUANTILES = 256
#: Of more products not all pairs are compared.
MOST_FOR_ALL_PAIRS = 12_000
#: Of those with the most words in common so many times more than are kept are compared.
SPARE = 8


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
        products, time with its square. Of more than 12,000 products each is compared with
        those that have the most words in common, see `ml.word_index`, and those nearest in price.

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
        width = min(self.neighbours, max(len(catalogue) - 1, 0))
        self.index_ = np.full((len(catalogue), width), -1, np.int32)
        self.score_ = np.zeros((len(catalogue), width), np.float32)
        self.shares_words_ = np.zeros((len(catalogue), width), np.bool_)
        if self.known_.any():
            if len(catalogue) <= MOST_FOR_ALL_PAIRS:
                self._compare_all_pairs()
            else:
                self._compare_near_ones()
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

    def _compare_all_pairs(self) -> None:
        num_products, width = self.index_.shape
        for rows in blocks(num_products, num_products):
            similarity, cosine = self.similarity(rows)
            own = np.arange(rows.start, rows.stop)
            similarity[np.arange(len(own)), own] = -np.inf
            similarity[:, ~self.known_] = -np.inf
            similarity[~self.known_[rows]] = -np.inf
            index, score = top_k(similarity, width)
            self.index_[rows], self.score_[rows] = index, score
            shared = np.take_along_axis(cosine, np.maximum(index, 0), axis=1) > 0
            self.shares_words_[rows] = shared & (index >= 0)

    def _compare_near_ones(self) -> None:
        num_products, width = self.index_.shape
        words = WordIndex(self.text_)
        near_in_price = _neighbours_in_order(self.price_, self.rating_, width)
        for rows in blocks(num_products, num_products):
            by_words, _ = best_neighbours(
                words.cosines(rows, 2 * width), SPARE * width, first_product=rows.start
            )
            row, other = pairs_of(np.hstack((by_words, near_in_price[rows])))
            # Each pair once, row by row.
            row, other = np.divmod(np.unique(row * num_products + other), num_products)
            one = row + rows.start
            kept = (one != other) & self.known_[one] & self.known_[other]
            row, one, other = row[kept], one[kept], other[kept]
            cosine = words.compare(one, other)
            similarity = self.text_weight * cosine
            similarity += self.price_weight * _near(
                self.price_[one], self.price_[other], _price_proximity, self.neutral_price_
            )
            similarity += self.rating_weight * _near(
                self.rating_[one], self.rating_[other], _rating_proximity, self.neutral_rating_
            )
            num_rows = rows.stop - rows.start
            index, score = top_k_entries(row, other, similarity, num_rows, width)
            self.index_[rows], self.score_[rows] = index, score
            again, named = pairs_of(index)
            shared = np.zeros(index.shape, np.bool_)
            shared[index >= 0] = words.compare(again + rows.start, named) > 0
            self.shares_words_[rows] = shared


def without_ratings(catalogue: pd.DataFrame) -> pd.DataFrame:
    """Return a catalogue to judge by: averages of all time hold what is asked about."""
    return catalogue.assign(avg_rating=np.float32(np.nan))


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
    return _near(left[:, None], right[None, :], proximity, neutral)


def _near(
    left: npt.NDArray[np.float32],
    right: npt.NDArray[np.float32],
    proximity: Any,
    neutral: np.float32,
) -> FloatTable:
    """Return the proximity of pairs; the neutral one where either is unknown."""
    near = proximity(np.abs(left - right))
    near[np.isnan(near)] = neutral
    return np.asarray(near, dtype=np.float32)


def _neighbours_in_order(
    first: npt.NDArray[np.float32], second: npt.NDArray[np.float32], k: int
) -> IntTable:
    """Return the k before and the k behind each product in order of two values, unknown ones last.

    Returns
    -------
    ndarray of int32, shape (products, 2 · k)
        -1 where the order ends.
    """
    order = np.lexsort((second, first))
    place = np.arange(len(order))[:, None] + np.concatenate((np.arange(-k, 0), np.arange(1, k + 1)))
    inside = (place >= 0) & (place < len(order))
    table = np.full(place.shape, -1, np.int32)
    table[order] = np.where(inside, order[np.where(inside, place, 0)], -1)
    return table
