"""The cursor of a product list: the sort key and the id of the last row."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from app.paging import bad_cursor, read_cursor, read_moment, write_cursor
from models.product_list import Key
from models.products import Product

_PRICE = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


def write_place(product: Product, sort: str, order: str) -> str:
    """Write the place of a product in a list as a cursor."""
    value: Key = getattr(product, sort)
    text = value.isoformat() if isinstance(value, datetime) else f"{'' if value is None else value}"
    return write_cursor(f"{sort} {order}", value is not None, text, product.product_id)


def read_place(cursor: str, sort: str, order: str) -> tuple[Key, str]:
    """Read a place back. Raises Problem 400 for a cursor of another list."""
    list_name, known, text, product_id = read_cursor(cursor, (str, bool, str, str))
    if list_name != f"{sort} {order}":
        raise bad_cursor()
    return (_read_key(sort, text) if known else None), product_id


def _read_key(sort: str, text: str) -> Key:
    if sort == "price":
        if not _PRICE.fullmatch(text):
            raise bad_cursor()
        return Decimal(text)
    if sort == "updated_at":
        return read_moment(text)
    return text
