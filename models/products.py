"""Products: the catalogue, as the shop sends it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Integer, Numeric, func, text
from sqlalchemy.dialects.postgresql import insert
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


def upsert_products(
    session: Session, products: Sequence[dict[str, Any]], *, now: datetime
) -> tuple[int, int]:
    """Insert or replace products in one statement; give how many were created and updated.

    A product is replaced whole: a field left out gets its default. Of two products with the same
    id in one call the last wins.
    """
    rows = {
        product["product_id"]: {**_DEFAULTS, **product, "created_at": now, "updated_at": now}
        for product in products
    }
    if not rows:
        return 0, 0
    statement = insert(Product).values([rows[key] for key in sorted(rows)])
    replaced = {name: statement.excluded[name] for name in (*_DEFAULTS, "updated_at")}
    upsert = statement.on_conflict_do_update(index_elements=["product_id"], set_=replaced)
    # xmax is zero in a row that no transaction has replaced: the row is new.
    created = (
        session.execute(upsert.returning(text("(products.xmax = 0) AS created"))).scalars().all()
    )
    return sum(created), len(created) - sum(created)
