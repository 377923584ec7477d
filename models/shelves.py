"""Shelves: the lists of products that need no model, and what may be shown of a list."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.products import Product


@dataclass(frozen=True, slots=True)
class Card:
    """What a list shows of a product, and whether it may be shown at all."""

    name: str | None
    category: str | None
    price: Decimal | None
    eligible: bool


def read_cards(session: Session, product_ids: Collection[str]) -> dict[str, Card]:
    """Give the card of each product that the catalogue knows."""
    if not product_ids:
        return {}
    rows = session.execute(
        select(
            Product.product_id,
            Product.name,
            Product.category,
            Product.price,
            Product.active,
            Product.stock,
        ).where(Product.product_id.in_(list(product_ids)))
    )
    return {
        row.product_id: Card(
            row.name,
            row.category,
            row.price,
            row.active and (row.stock is None or row.stock > 0),
        )
        for row in rows
    }


_ELIGIBLE = "coalesce(p.active, true) AND coalesce(p.stock, 1) > 0"


def read_trending(
    session: Session, *, since: date, limit: int, category: str | None = None
) -> list[tuple[str, float]]:
    """List products by recent interest, from the daily table, with a score."""
    rows = session.execute(
        text(
            f"""
SELECT m.product_id, CAST(sum(m.total_views + 2 * m.total_clicks + 3 * m.total_favorites
    + 3 * m.total_cart_additions + 5 * m.total_sales) AS float8) AS score
FROM daily_product_metrics AS m LEFT JOIN products AS p USING (product_id)
WHERE m.day >= :since AND {_ELIGIBLE}
    AND (CAST(:category AS text) IS NULL OR p.category = :category)
GROUP BY m.product_id ORDER BY score DESC, m.product_id LIMIT :limit"""
        ),
        {"since": since, "limit": limit, "category": category},
    )
    return [(row.product_id, row.score) for row in rows if row.score > 0]


def read_best_rated(session: Session, *, limit: int) -> list[tuple[str, float]]:
    """List products by their Bayesian mean rating: each gets ten ratings of the overall mean."""
    rows = session.execute(
        text(
            f"""
WITH overall AS (SELECT sum(rating_sum) / nullif(sum(rating_count), 0) AS mean FROM product_metrics)
SELECT m.product_id,
    CAST((m.rating_sum + 10 * overall.mean) / (m.rating_count + 10) AS float8) AS score
FROM product_metrics AS m CROSS JOIN overall LEFT JOIN products AS p USING (product_id)
WHERE m.rating_count > 0 AND {_ELIGIBLE}
ORDER BY score DESC, m.product_id LIMIT :limit"""
        ),
        {"limit": limit},
    )
    return [(row.product_id, row.score) for row in rows]


def read_newest(session: Session, *, limit: int) -> list[str]:
    """List the products that came into the catalogue last."""
    return list(
        session.scalars(
            text(
                f"SELECT product_id FROM products AS p WHERE {_ELIGIBLE} "
                "ORDER BY created_at DESC, product_id LIMIT :limit"
            ),
            {"limit": limit},
        )
    )
