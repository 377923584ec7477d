"""The catalogue, brought into the order of the products and into plain arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ml.dataset import DatasetError, read_numbers
from ml.layout import ATTRIBUTES, VALUES_PER_ATTRIBUTE

TEXT_COLUMNS = ("name", "category", "gender", "color", "material", "size")
NUMBER_COLUMNS = ("price", "avg_rating", "review_count")
MEANINGLESS = frozenset({"", "-", "n/a", "na", "nan", "none", "null", "other", "unknown"})


def list_products(catalogue: pd.DataFrame, met: Sequence[str]) -> list[str]:
    """Return the ids of the catalogue and of the products met, sorted, each once."""
    if "product_id" not in catalogue.columns:
        raise DatasetError(f"a catalogue needs product_id, got {list(catalogue.columns)}")
    listed = catalogue["product_id"].dropna().astype(str)
    return sorted(set(listed) | set(met))


def align_catalogue(catalogue: pd.DataFrame, product_ids: Sequence[str]) -> pd.DataFrame:
    """Return one row per product in the given order, with every column.

    Text is a string ("" when missing), numbers are float32 (NaN when missing).
    Of rows with the same product_id the last one counts. A price below zero,
    and a rating that nobody gave (review_count 0), is missing.
    """
    rows = catalogue.dropna(subset=["product_id"])
    rows = rows.set_index(rows["product_id"].astype(str))
    rows = rows[~rows.index.duplicated(keep="last")].reindex(list(product_ids))
    blank = pd.Series(None, index=rows.index, dtype=object)
    columns = {
        column: [str(value) if pd.notna(value) else "" for value in rows.get(column, blank)]
        for column in TEXT_COLUMNS
    }
    numbers = {column: read_numbers(rows.get(column, blank)) for column in NUMBER_COLUMNS}
    price, rating = numbers["price"], numbers["avg_rating"]
    numbers["price"] = np.where(price >= 0, price, np.float32(np.nan))
    rated = ~(numbers["review_count"] <= 0)
    numbers["avg_rating"] = np.where(rated, np.clip(rating, 0, 5), np.float32(np.nan))
    return pd.DataFrame(columns | numbers, index=rows.index)


def attribute_codes(catalogue: pd.DataFrame) -> npt.NDArray[np.int32]:
    """Number the values of each attribute, so that two products can be compared without text.

    Values separated by | are separate; values that say nothing ("other",
    "unknown") and those beyond the third are left out.

    Parameters
    ----------
    catalogue : DataFrame
        From `align_catalogue`.

    Returns
    -------
    ndarray of int32, shape (products, attributes * VALUES_PER_ATTRIBUTE)
        Equal codes in the columns of one attribute mean equal values; -1 is none.
    """
    width = VALUES_PER_ATTRIBUTE
    codes = np.full((len(catalogue), len(ATTRIBUTES) * width), -1, np.int32)
    for place, attribute in enumerate(ATTRIBUTES):
        known: dict[str, int] = {}
        for row, text in enumerate(catalogue[attribute]):
            for at, value in enumerate(_split_values(text)[:width]):
                codes[row, place * width + at] = known.setdefault(value, len(known))
    return codes


def _split_values(text: str) -> list[str]:
    values = (value.strip().casefold() for value in text.split("|"))
    return [value for value in dict.fromkeys(values) if value not in MEANINGLESS]
