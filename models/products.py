"""Products: the catalogue, as the shop sends it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Integer, Numeric, func, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base


class Product(Base):
    """Describe one product. Events may name it before the catalogue does."""

    __tablename__ = "products"

    product_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    category: Mapped[str | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric)
    gender: Mapped[str | None]
    color: Mapped[str | None]
    material: Mapped[str | None]
    size: Mapped[str | None]
    attributes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    stock: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


_DEFAULTS: dict[str, Any] = {
    "name": None,
    "category": None,
    "price": None,
    "gender": None,
    "color": None,
    "material": None,
    "size": None,
    "attributes": {},
    "active": True,
    "stock": None,
}


_TYPES = {
    "product_id": "text",
    "name": "text",
    "category": "text",
    "price": "numeric",
    "gender": "text",
    "color": "text",
    "material": "text",
    "size": "text",
    "attributes": "jsonb",
    "active": "boolean",
    "stock": "integer",
}
_SET = ", ".join(f"{name} = excluded.{name}" for name in (*_DEFAULTS, "updated_at"))
# xmax is zero in a row that no transaction has replaced: the row is new.
_UPSERT = text(
    f"""
INSERT INTO products ({", ".join(_TYPES)}, created_at, updated_at)
SELECT {", ".join(_TYPES)}, :now, :now FROM json_to_recordset(CAST(:rows AS json))
    AS row({", ".join(f"{name} {kind}" for name, kind in _TYPES.items())})
ORDER BY product_id
ON CONFLICT (product_id) DO UPDATE SET {_SET}
RETURNING products.xmax = 0"""
)


def upsert_products(
    session: Session, products: Sequence[dict[str, Any]], *, now: datetime
) -> tuple[int, int]:
    """Insert or replace products in one statement; give how many were created and updated.

    A product is replaced whole: a field left out gets its default. Of two products with the same
    id in one call the last wins.
    """
    rows = {product["product_id"]: {**_DEFAULTS, **product} for product in products}
    if not rows:
        return 0, 0
    # Decimals go as text, which PostgreSQL reads exactly.
    document = json.dumps(list(rows.values()), default=str)
    created = session.scalars(_UPSERT, {"rows": document, "now": now}).all()
    return sum(created), len(created) - sum(created)


def change_product(
    session: Session, product_id: str, changes: dict[str, Any], *, now: datetime
) -> Product | None:
    """Change some fields of a product; give it, or None when the catalogue does not know it."""
    product = session.get(Product, product_id, with_for_update=True)
    if product is not None:
        for name, value in changes.items():
            setattr(product, name, value)
        product.updated_at = now
        session.flush()
    return product
