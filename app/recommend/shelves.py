"""The shelves of one request: cards, read once each, and the rungs that need no model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from datetime import date
from itertools import islice

from sqlalchemy import Connection

from app.recommend.ranking import CATEGORY
from app.recommend.trending import Trending
from ml.serving import Recommendation
from models.shelves import (
    ALL,
    Card,
    Filter,
    read_best_rated,
    read_cards,
    read_newest,
    read_unlisted,
    read_wanted_cards,
)

#: So many filters of a request are asked of the database, and remembered: one list has two, its
#: own, and that with the category of what it is about. For more of them all products are read once.
_FILTERS = 2
#: Products of the trending list whose cards are read at a time.
_CHUNK = 200


class Shelves:
    """Read what lists need of the catalogue, as it is now."""

    def __init__(self, connection: Connection, trending: Trending, *, today: date) -> None:
        self._connection = connection
        self._trending = trending
        self._today = today
        self._cards: dict[str, Card | None] = {}
        self._wanted: dict[Filter, Set[str]] = {}
        self._every: dict[str, Card] | None = None

    def learn(self, product_ids: Iterable[str]) -> None:
        """Read the cards of products that were not asked for before, with one statement."""
        new = {product_id for product_id in product_ids if product_id not in self._cards}
        self._cards |= {**dict.fromkeys(new), **read_cards(self._connection, new)}

    def card(self, product_id: str) -> Card | None:
        """Give a learned card, None for a product that the catalogue does not know."""
        return self._cards.get(product_id)

    def wanted(self, wanted: Filter) -> Set[str]:
        """Give every product that may be shown and meets the filter, and learn its card."""
        if wanted not in self._wanted:
            found = self._find(wanted)
            if len(self._wanted) == _FILTERS:
                del self._wanted[next(iter(self._wanted))]
            self._wanted[wanted] = found
        return self._wanted[wanted]

    def _find(self, wanted: Filter) -> Set[str]:
        if len(self._wanted) < _FILTERS:
            found = read_wanted_cards(self._connection, wanted)
            self._cards |= found
            return found.keys()
        if self._every is None:
            self._every = read_wanted_cards(self._connection, ALL)
            self._cards |= self._every
        return {name for name, card in self._every.items() if wanted.admits(card)}

    def category(self, category: str, wanted: Filter) -> Iterator[Recommendation]:
        """Give what is trending in a category."""
        if wanted.categories and category not in wanted.categories:
            return
        narrow = Filter(frozenset({category}), wanted.min_price, wanted.max_price)
        for product_id, score in self._trending_among(self.wanted(narrow)):
            yield Recommendation(product_id, score, f"popular in {category}", CATEGORY)

    def trending(self, wanted: Filter) -> Iterator[Recommendation]:
        """Give what is trending in the shop."""
        if wanted.is_empty:
            scores: Iterable[tuple[str, float]] = self._scores().items()
        else:
            scores = self._trending_among(self.wanted(wanted))
        scores = iter(scores)
        while chunk := list(islice(scores, _CHUNK)):
            self.learn(product_id for product_id, _ in chunk)
            for product_id, score in chunk:
                yield Recommendation(product_id, score, "popular lately", "trending")

    def last(
        self, wanted: Filter, *, exclude: Collection[str], limit: int
    ) -> Iterator[Recommendation]:
        """Give up to `limit` products of each shelf that is left: best rated, newest, unlisted."""
        best = read_best_rated(self._connection, wanted, exclude=exclude, limit=limit)
        self.learn(best)
        for product_id, score in best.items():
            yield Recommendation(product_id, score, "rated well", "best_rated")
        found = {*exclude, *best}
        newest = read_newest(self._connection, wanted, exclude=found, limit=limit)
        self.learn(newest)
        for product_id in newest:
            yield Recommendation(product_id, 0.0, "new in the catalogue", "newest")
        if wanted.is_empty:
            found.update(newest)
            for product_id in read_unlisted(self._connection, exclude=found, limit=limit):
                yield Recommendation(product_id, 0.0, "met before", "newest")

    def _trending_among(self, product_ids: Collection[str]) -> list[tuple[str, float]]:
        scores = self._scores()
        found = [(name, scores[name]) for name in product_ids if name in scores]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def _scores(self) -> Mapping[str, float]:
        return self._trending.scores(self._connection, today=self._today)
