"""The cursor of products in the order of a figure: its value, the shop's rate, the product's id."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from sqlalchemy import Row

from app.paging import bad_cursor, read_cursor, write_cursor
from models.metrics_report import Place, key_type

_FORMS = {
    "bigint": (re.compile(r"-?[0-9]{1,18}"), int),
    "numeric": (re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?"), Decimal),
    "float8": (re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[+-][0-9]{1,2})?"), float),
}


def write_place(row: Row[Any], sort: str, order: str, prior: float) -> str:
    """Write a row's place in a list as a cursor."""
    key = f"{row.key:f}" if isinstance(row.key, Decimal) else f"{row.key}"
    return write_cursor(f"{sort} {order}", key, prior, row.product_id)


def read_place(cursor: str, sort: str, order: str) -> Place:
    """Read a place back. Raises Problem 400 for a cursor of another list."""
    list_name, key, prior, product_id = read_cursor(cursor, (str, str, float, str))
    form, read = _FORMS[key_type(sort)]
    if list_name != f"{sort} {order}" or not form.fullmatch(key) or not math.isfinite(prior):
        raise bad_cursor()
    return Place(read(key), product_id, prior)
