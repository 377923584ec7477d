"""Read a directory of shop data as a Dataset: the one way in for files."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasets.dataset import Dataset, DatasetError, Product
from datasets.event_table import (
    DAY_MS,
    Column,
    EventTable,
    constant,
    day_of,
    labels,
    numbered,
    numbers,
    plain,
    records,
)
from datasets.events import ITEM, ROW, Rows, read_rows
from datasets.layouts import choose_mapping
from datasets.mapping import EventsRule, Mapping, ProductsRule, read_mapping
from datasets.products import derive_products, make_product, read_products
from datasets.times import made_up


def read_dataset(
    directory: Path, mapping: Path | None = None, *, last_day: date, limit: int | None = None
) -> Dataset:
    """Read the files of `directory` with a mapping file, else with the layout they are known by.

    All times are moved by whole days so that the last day of the data is
    `last_day`. `limit` keeps only the latest events, so that what is kept ends
    on `last_day` too. A DatasetError says what does not fit.
    """
    if limit is not None and limit < 1:
        raise DatasetError(f"limit must be >= 1, got {limit}")
    if not directory.is_dir():
        raise DatasetError(f"{directory} is not a directory")
    chosen = read_mapping(mapping) if mapping else choose_mapping(directory)
    derived = () if chosen.products.files else tuple(chosen.products.needed())
    rows = read_rows(chosen.events, directory, derived)
    ids, codes = split_codes(rows, chosen.events)
    products, notes = make_catalogue(chosen, directory, rows, ids)
    table = make_table(chosen, rows, ids, codes, last_day)
    notes += charge_notes(chosen.events, codes)
    notes += [f"Left out: {count:,} {reason}." for reason, count in rows.left_out.items()]
    notes += [sentence for sentence in [made_up(chosen.events.time)] if sentence]
    if limit is not None and limit < len(table):
        notes.append(f"Only the latest {limit:,} of {len(table):,} events are read.")
        table = table.last(limit)
    return Dataset(
        name=chosen.name,
        simulated=False,
        description=chosen.description,
        products=products,
        table=table,
        notes=[*chosen.notes, *notes],
    )


def split_codes(rows: Rows, rule: EventsRule) -> tuple[pd.Series, pd.Series]:
    """Give the product of each row, and the code where that is no product; '' where none."""
    none = pd.Series("", index=rows.frame.index, dtype=object)
    column = ITEM if rule.sequence else rule.columns.get("product_id")
    if column is None:
        return none, none
    ids = rows.text(column)
    if rule.codes is None:
        return ids, none
    product = ids.str.match(rule.codes.pattern).astype(bool)
    return ids.where(product, ""), ids.where(~product, "")


def make_catalogue(
    chosen: Mapping, directory: Path, rows: Rows, ids: pd.Series
) -> tuple[list[Product], list[str]]:
    """Read or derive the products; every product that an event names is among them."""
    rule = chosen.products
    named = ids[ids != ""]
    if not rule.files:
        prices = None
        if "unit_price" in rows.facts:
            prices = pd.Series(rows.facts["unit_price"], index=ids.index)[named.index]
        return derive_products(rule, rows.frame.loc[named.index], named, prices), []
    products = read_products(rule, directory)
    if chosen.events.codes is not None:
        real = re.compile(chosen.events.codes.pattern)
        products = [product for product in products if real.match(product["product_id"])]
    known = {product["product_id"] for product in products}
    unknown = [product_id for product_id in named.unique() if product_id not in known]
    if not unknown:
        return products, []
    bare = ProductsRule(constants=rule.constants)
    products += [make_product(bare, {}, product_id) for product_id in unknown]
    return products, [
        f"{len(unknown):,} products are in the events but not in the products file: "
        "they have no more than an id."
    ]


def charge_notes(rule: EventsRule, codes: pd.Series) -> list[str]:
    counts = codes[codes != ""].value_counts()
    if rule.codes is None or counts.empty:
        return []
    common = ", ".join(counts.index[:4]) + (", …" if len(counts) > 4 else "")
    return [
        f"{counts.sum():,} events carry a code that is not a product ({common}): "
        f"they have entity_type {rule.codes.otherwise!r} and no product_id."
    ]


def make_table(
    chosen: Mapping, rows: Rows, ids: pd.Series, codes: pd.Series, last_day: date
) -> EventTable:
    """Sort by time, then by row, and move the days."""
    rule, facts = chosen.events, rows.facts
    order = np.lexsort((rows.frame[ROW].to_numpy(), facts["time_ms"]))
    times = facts["time_ms"][order]
    shift_days = (last_day - day_of(int(times[-1]))).days

    def text(values: Any, translate: dict[str, str] | None = None, prefix: str = "") -> Column:
        return text_column(values, order, translate or {}, prefix)

    columns: dict[str, Column] = {
        "message_id": numbered(f"{chosen.name}-{shift_days}-", rows.frame[ROW].to_numpy()[order]),
        "event_type": text(facts["event_type"]),
    }
    columns |= {name: constant(value) for name, value in rule.constants.items()}
    for name, column in rule.columns.items():
        if name not in ("product_id", "guest", "quantity", "unit_price", "value"):
            columns[name] = text(rows.text(column), rule.values.get(name))
    if "guest" in rule.columns:
        columns["anonymous_id"] = text(guests(rows, rule), prefix="guest-")
    if rule.sequence or "product_id" in rule.columns:
        columns["product_id"] = text(ids)
    if rule.codes is not None:
        charged = np.where(codes != "", rule.codes.otherwise, "")
        columns |= {"entity_type": text(charged), "entity_id": text(codes)}
    if "quantity" in facts:
        columns["quantity"] = whole_numbers(facts["quantity"][order])
    if "value" in facts:
        columns["value"] = numbers(facts["value"][order])
    properties = {
        name: constant(value) for name, value in rule.constants.get("properties", {}).items()
    }
    properties |= {name: text(rows.text(column)) for name, column in rule.properties.items()}
    columns["properties"] = records(properties) if properties else constant(None)
    return EventTable(times + shift_days * DAY_MS, columns)


def text_column(
    values: Any, order: NDArray[np.int64], translate: dict[str, str], prefix: str
) -> Column:
    """Keep each different text once; '' means no value."""
    codes, names = pd.factorize(np.asarray(values, dtype=object))
    shown = [prefix + translate.get(name, name) if name != "" else None for name in names]
    return labels(shown, codes[order])


def guests(rows: Rows, rule: EventsRule) -> Any:
    """Name the guest of each row that has no user; '' where there is one."""
    guest = rows.text(rule.columns["guest"])
    if "user_id" not in rule.columns:
        return guest
    return guest.where(rows.text(rule.columns["user_id"]) == "", "")


def whole_numbers(values: NDArray[np.float64]) -> Column:
    if np.isfinite(values).all():
        return plain(values.astype(np.int64))
    read = numbers(values)
    return lambda start, stop: [
        None if value is None else int(value) for value in read(start, stop)
    ]
