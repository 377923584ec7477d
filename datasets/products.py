"""The catalogue: from a products file, else from the products that the events name."""

import math
from collections.abc import Mapping as Table
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datasets.dataset import DatasetError, MappingError, Product
from datasets.mapping import PRODUCT_FIELDS, ProductsRule
from datasets.tables import NO_NUMBER, check_columns, find_files, read_frame, read_header

TEXT_FIELDS = ("category", "gender", "color", "material", "size")


def read_products(rule: ProductsRule, directory: Path) -> list[Product]:
    """Read the products files; one product for each product_id, the first row wins."""
    frames = []
    options = {"encoding": rule.encoding, "delimiter": rule.delimiter}
    for path in find_files(directory, rule.files):
        header = read_header(path, **options)
        check_columns(path, header, rule.needed())
        columns = header if "*" in rule.attributes else list(rule.needed())
        frames.append(read_frame(path, columns, **options))
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[frame[rule.columns["product_id"]].str.strip() != ""]
    frame = frame.drop_duplicates(rule.columns["product_id"])
    return [make_product(rule, row) for row in frame.to_dict("records")]


def derive_products(
    rule: ProductsRule, frame: pd.DataFrame, ids: pd.Series, prices: pd.Series | None
) -> list[Product]:
    """Make the products that the events name, from what the events say about them.

    Text is the first that is not empty; the price is the median of the unit
    prices above zero. `ids` and `prices` go with the rows of `frame`.
    """
    columns = list(dict.fromkeys([*rule.columns.values(), *rule.attributes, *rule.lists]))
    missing = [column for column in columns if column not in frame]
    if missing:
        raise MappingError(
            f"[products] the events have no column {missing[0]!r}; "
            f"their columns are: {', '.join(map(str, frame.columns))}"
        )
    first = frame[columns].replace("", np.nan).groupby(ids).first().fillna("")
    medians: Table[str, float] = {}
    if prices is not None and "price" not in rule.columns:
        sold = prices > 0
        medians = prices[sold].groupby(ids[sold]).median().to_dict()
    products = []
    for product_id in dict.fromkeys(ids):
        row = dict(first.loc[product_id]) if columns else {}
        product = make_product(rule, row, product_id)
        if product_id in medians:
            product["price"] = round(medians[product_id], 2)
        products.append(product)
    return products


def make_product(rule: ProductsRule, row: Table[str, str], product_id: str = "") -> Product:
    """Make the native shape of one row; what is empty is left out.

    A list column (`red|white`) gives its first value to a field, and all its
    values to the attributes when there are several.
    """
    row = {column: text.strip() for column, text in row.items()}
    lists = {column: split_list(row[column], rule.separator) for column in rule.lists}
    texts = row | {column: values[0] if values else "" for column, values in lists.items()}
    known: dict[str, Any] = dict(rule.constants)
    known |= {name: texts[column] for name, column in rule.columns.items() if texts[column]}
    known["product_id"] = product_id or known["product_id"]
    known["name"] = known.get("name") or fill_name(rule.name, texts | known)
    for name, kind in (("price", float), ("stock", int)):
        if name in known:
            if str(known[name]).casefold() in NO_NUMBER:
                del known[name]
                continue
            known[name] = read_number(known[name], kind, f"{name} of product {known['product_id']}")
    wanted = [column for column in row if column not in rule.columns.values()]
    wanted = wanted if "*" in rule.attributes else list(rule.attributes)
    attributes: dict[str, Any] = {name: row[name] for name in wanted if row[name]}
    for column, values in lists.items():
        if len(values) > 1 or (column in attributes and values):
            attributes[column] = values
    product = {name: known[name] for name in PRODUCT_FIELDS if name in known}
    return product | {"attributes": attributes, "active": True}


def split_list(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator) if part.strip()]


def fill_name(template: str, row: Table[str, Any]) -> str:
    try:
        return " ".join(template.format_map(row).split())
    except (KeyError, IndexError, ValueError) as error:
        raise MappingError(
            f"[products] name {template!r}: {error} is none of: {', '.join(row)}"
        ) from error


def read_number(value: object, kind: type[float] | type[int], what: str) -> float | int:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{what} is not a number: {value!r}")
    return kind(number)
