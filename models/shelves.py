"""Shelves: the lists of products that need no model, and what may be shown of a list."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from models.interactions import STARS
from models.quick_reads import QuickRead


@dataclass(frozen=True, slots=True)
class Card:
    """What a list shows of a product, and whether it may be shown at all."""

    name: str | None
    category: str | None
    price: Decimal | None
    eligible: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """Which products are wanted: of some categories, within a range of prices.

    A product whose category or price nobody knows is not what a filter on it asks for.
    """

    categories: frozenset[str] = frozenset()
    min_price: Decimal | None = None
    max_price: Decimal | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether every product is wanted."""
        return not self.categories and self.min_price is None and self.max_price is None

    def admits(self, card: Card | None) -> bool:
        """Tell whether a product may be shown; one without a card is only known from events."""
        if card is None:
            return self.is_empty
        if not card.eligible or (self.categories and card.category not in self.categories):
            return False
        if self.min_price is None and self.max_price is None:
            return True
        return (
            card.price is not None
            and (self.min_price is None or card.price >= self.min_price)
            and (self.max_price is None or card.price <= self.max_price)
        )

    def parameters(self) -> dict[str, Any]:
        """Give the parameters of `_WANTED`."""
        return {
            "any_product": self.is_empty,
            "categories": sorted(self.categories) or None,
            "min_price": self.min_price,
            "max_price": self.max_price,
        }


#: Every product.
ALL = Filter()

_ELIGIBLE = "coalesce(p.active, true) AND coalesce(p.stock, 1) > 0"
# What `Filter.admits` says, of a product that may lack its row.
_WANTED = f"""{_ELIGIBLE} AND (CAST(:any_product AS boolean) OR p.product_id IS NOT NULL)
    AND (CAST(:categories AS text[]) IS NULL OR p.category = ANY(CAST(:categories AS text[])))
    AND (CAST(:min_price AS numeric) IS NULL OR p.price >= CAST(:min_price AS numeric))
    AND (CAST(:max_price AS numeric) IS NULL OR p.price <= CAST(:max_price AS numeric))"""
_CARD = f"p.product_id, p.name, p.category, p.price, {_ELIGIBLE} AS eligible"
# One text takes the driver less time than a list of texts.
_SOME_CARDS = QuickRead(
    f"""SELECT {_CARD} FROM products AS p
    WHERE product_id = ANY(ARRAY(SELECT jsonb_array_elements_text(CAST(:product_ids AS jsonb))))"""
)
_WANTED_CARDS = text(f"SELECT {_CARD} FROM products AS p WHERE {_WANTED}")


def read_cards(connection: Connection, product_ids: Collection[str]) -> dict[str, Card]:
    """Give the card of each of some products that the catalogue knows."""
    if not product_ids:
        return {}
    ids = msgspec.json.encode(list(product_ids)).decode()
    return _cards(_SOME_CARDS.rows(connection, product_ids=ids))


def read_wanted_cards(connection: Connection, wanted: Filter) -> dict[str, Card]:
    """Give the cards of all products of the catalogue that may be shown and meet the filter."""
    return _cards(connection.execute(_WANTED_CARDS, wanted.parameters()).all())


def _cards(rows: Iterable[Any]) -> dict[str, Card]:
    return {
        product_id: Card(name, category, price, eligible)
        for product_id, name, category, price, eligible in rows
    }


_TRENDING = text(
    """
SELECT product_id, CAST(sum(total_views + 2 * total_clicks + 3 * total_favorites
    + 3 * total_cart_additions + 5 * total_sales) AS float8) AS score
FROM daily_product_metrics WHERE day >= :since
GROUP BY product_id HAVING sum(total_views + 2 * total_clicks + 3 * total_favorites
    + 3 * total_cart_additions + 5 * total_sales) > 0
ORDER BY score DESC, product_id LIMIT :limit"""
)
_AGGREGATED = text(
    "SELECT count(*), sum(events), max(computed_at) FROM daily_totals WHERE day >= :since"
)


def read_trending(connection: Connection, *, since: date, limit: int) -> dict[str, float]:
    """Give products by recent interest, from the daily table, with a score, the best first."""
    rows = connection.execute(_TRENDING, {"since": since, "limit": limit})
    return {row.product_id: row.score for row in rows}


def read_aggregation(connection: Connection, *, since: date) -> tuple[Any, ...]:
    """Give what changes whenever one of the days is aggregated again."""
    return tuple(connection.execute(_AGGREGATED, {"since": since}).one())


# A rating may be any number: none counts for more than all stars, or for less than none.
_BEST_RATED = text(
    f"""
WITH rated AS (
    SELECT product_id, rating_count,
        least(greatest(rating_sum, 0), {STARS} * rating_count) AS rating_sum
    FROM product_metrics WHERE rating_count > 0 AND rating_sum < 'NaN'
), overall AS (SELECT sum(rating_sum) / sum(rating_count) AS mean FROM rated)
SELECT m.product_id,
    CAST(round((m.rating_sum + 10 * overall.mean) / (m.rating_count + 10), 6) AS float8) AS score
FROM rated AS m CROSS JOIN overall LEFT JOIN products AS p ON p.product_id = m.product_id
WHERE {_WANTED} AND m.product_id <> ALL(CAST(:exclude AS text[]))
ORDER BY score DESC, m.product_id LIMIT :limit"""
)
_NEWEST = text(
    f"""
SELECT product_id FROM products AS p WHERE {_WANTED} AND product_id <> ALL(CAST(:exclude AS text[]))
ORDER BY created_at DESC, product_id LIMIT :limit"""
)
_UNLISTED = text(
    """
SELECT product_id FROM product_metrics AS m
WHERE NOT EXISTS (SELECT FROM products AS p WHERE p.product_id = m.product_id)
    AND product_id <> ALL(CAST(:exclude AS text[]))
ORDER BY last_event_at DESC NULLS LAST, product_id LIMIT :limit"""
)


def read_best_rated(
    connection: Connection, wanted: Filter, *, exclude: Collection[str], limit: int
) -> dict[str, float]:
    """Give wanted products by their Bayesian mean: each gets ten ratings of the overall mean."""
    rows = connection.execute(
        _BEST_RATED, {**wanted.parameters(), "exclude": list(exclude), "limit": limit}
    )
    return {row.product_id: row.score for row in rows}


def read_newest(
    connection: Connection, wanted: Filter, *, exclude: Collection[str], limit: int
) -> list[str]:
    """List the wanted products that came into the catalogue last."""
    return list(
        connection.scalars(
            _NEWEST, {**wanted.parameters(), "exclude": list(exclude), "limit": limit}
        )
    )


def read_unlisted(connection: Connection, *, exclude: Collection[str], limit: int) -> list[str]:
    """List the products that only events know, the last met first."""
    return list(connection.scalars(_UNLISTED, {"exclude": list(exclude), "limit": limit}))
