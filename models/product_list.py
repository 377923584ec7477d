"""Pages of the catalogue: filtered, sorted, each going on behind the last row of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, tuple_
from sqlalchemy.orm import Session

from models.products import Product

#: What a page can be sorted by. Products without the value come last, whatever the order.
SORTS: dict[str, Any] = {
    "product_id": Product.product_id,
    "name": Product.name,
    "price": Product.price,
    "updated_at": Product.updated_at,
}
Key = str | Decimal | datetime | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which products a list has; None asks for nothing."""

    product_id: str | None = None
    q: str | None = None
    category: str | None = None
    active: bool | None = None
    in_stock: bool | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None


def read_products(
    session: Session,
    chosen: Filter,
    *,
    sort: str,
    descending: bool,
    after: tuple[Key, str] | None,
    limit: int,
) -> Sequence[Product]:
    """List up to `limit` products behind `after`, the sort key and id of the row before them."""
    key, product_id = SORTS[sort], Product.product_id
    directed = (key.desc(), product_id.desc()) if descending else (key.asc(), product_id.asc())
    statement = (
        select(Product).where(*_conditions(chosen)).order_by(directed[0].nulls_last(), directed[1])
    )
    if after is not None:
        statement = statement.where(_behind(key, after, descending=descending))
    return session.scalars(statement.limit(limit)).all()


def _behind(key: Any, after: tuple[Key, str], *, descending: bool) -> ColumnElement[bool]:
    value, product_id = after
    column = Product.product_id
    if value is None:
        later = column < product_id if descending else column > product_id
        return and_(key.is_(None), later)
    row, last = tuple_(key, column), tuple_(value, product_id)
    return or_(row < last if descending else row > last, key.is_(None))


def _conditions(chosen: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if chosen.product_id is not None:
        conditions.append(Product.product_id == chosen.product_id)
    if chosen.q:
        conditions.append(
            or_(
                Product.name.icontains(chosen.q, autoescape=True),
                Product.product_id.icontains(chosen.q, autoescape=True),
            )
        )
    if chosen.category is not None:
        conditions.append(Product.category == chosen.category)
    if chosen.active is not None:
        conditions.append(Product.active.is_(chosen.active))
    if chosen.in_stock is not None:
        # Stock that is not known is taken as enough, as the recommendations take it.
        conditions.append(
            or_(Product.stock.is_(None), Product.stock > 0)
            if chosen.in_stock
            else Product.stock <= 0
        )
    if chosen.min_price is not None:
        conditions.append(Product.price >= chosen.min_price)
    if chosen.max_price is not None:
        conditions.append(Product.price <= chosen.max_price)
    return conditions
