"""Which products have metrics, and which metrics have a product."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Coverage:
    """Count the products of the catalogue by whether they have a metrics row."""

    products: int
    with_metrics: int
    #: Metrics of products that events name and the catalogue does not.
    unknown_products: int

    @property
    def without_metrics(self) -> int:
        """Count the products that no event has named and nobody has made a row for."""
        return self.products - self.with_metrics

    @property
    def share(self) -> float | None:
        """Give the share of products with metrics; None without products."""
        return self.with_metrics / self.products if self.products else None


def read_coverage(session: Session) -> Coverage:
    """Compare the catalogue with the metrics."""
    row = session.execute(
        text(
            "SELECT count(p.product_id) AS products, "
            "count(m.product_id) FILTER (WHERE p.product_id IS NOT NULL) AS covered, "
            "count(*) FILTER (WHERE p.product_id IS NULL) AS unknown "
            "FROM products AS p FULL JOIN product_metrics AS m USING (product_id)"
        )
    ).one()
    return Coverage(row.products, row.covered, row.unknown)


def read_products_without_metrics(session: Session, *, limit: int) -> list[str]:
    """List the first products, by id, that have no metrics row."""
    return list(
        session.scalars(
            text(
                "SELECT product_id FROM products AS p WHERE NOT EXISTS "
                "(SELECT FROM product_metrics AS m WHERE m.product_id = p.product_id) "
                "ORDER BY product_id LIMIT :limit"
            ),
            {"limit": limit},
        )
    )
