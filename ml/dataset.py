"""Interactions: who met which product, how strongly and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

DAY_S = 86_400.0
COLUMNS = ("user_id", "product_id", "weight", "occurred_at")


class DatasetError(ValueError):
    """A frame that cannot be read as interactions or as a catalogue."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions as parallel arrays, in order of time.

    Attributes
    ----------
    user_ids, product_ids : list of str
        The ids that `user` and `product` point into. Parts of a data set keep
        the lists of the whole, so that their matrices have equal shapes.
    user, product : ndarray of int32, shape (n,)
    weight : ndarray of float32, shape (n,)
    time : ndarray of float64, shape (n,)
        Unix seconds, UTC.
    row : ndarray of int64, shape (n,)
        Number of the row in the frame: of two interactions at the same time
        (days without an hour, a basket) that of the earlier row came first.
    bought : ndarray of bool, shape (n,)
        Whether it was a purchase.
    visit : ndarray of int64, shape (n,)
        Number of the session or basket; -1 where none is known.
    """

    user_ids: list[str]
    product_ids: list[str]
    user: npt.NDArray[np.int32]
    product: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    time: npt.NDArray[np.float64]
    row: npt.NDArray[np.int64]
    bought: npt.NDArray[np.bool_]
    visit: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of people and of products, whether met or not."""
        return len(self.user_ids), len(self.product_ids)

    def take(self, rows: npt.NDArray[Any] | slice) -> Interactions:
        """Return the interactions of a mask, of row numbers or of a slice; ids stay as they are."""
        return replace(
            self,
            user=self.user[rows],
            product=self.product[rows],
            weight=self.weight[rows],
            time=self.time[rows],
            row=self.row[rows],
            bought=self.bought[rows],
            visit=self.visit[rows],
        )

    def positive(self) -> Interactions:
        """Return those with a weight above 0: nothing is copied where all of them have one."""
        kept = self.weight > 0
        return self if kept.all() else self.take(kept)

    def before(self, end: float) -> Interactions:
        """Return those before a moment, as views that take no memory."""
        return self.between(-np.inf, end)

    def between(self, begin: float, end: float) -> Interactions:
        """Return those of [begin, end), as views that take no memory."""
        return self.take(slice(*np.searchsorted(self.time, (begin, end)).tolist()))

    def with_products(self, product_ids: Sequence[str]) -> Interactions:
        """Return the same interactions over another list of products.

        Raises
        ------
        DatasetError
            If a product of `self` is missing from `product_ids`.
        """
        place = {product_id: number for number, product_id in enumerate(product_ids)}
        absent = [product_id for product_id in self.product_ids if product_id not in place]
        if absent:
            raise DatasetError(f"{len(absent)} products are not in the new list: {absent[:3]}")
        moved = np.array([place[product_id] for product_id in self.product_ids], dtype=np.int32)
        return replace(self, product_ids=list(product_ids), product=moved[self.product])


def build_interactions(frame: pd.DataFrame) -> Interactions:
    """Build interactions from a frame, whatever the order of its rows.

    That order is kept in `row` alone, for those who ask what came first.
    Rows with a missing value or a weight that is not finite are dropped.

    Parameters
    ----------
    frame : DataFrame
        Columns user_id, product_id, weight (a number) and occurred_at
        (datetime64; without a zone it is taken as UTC); bought (bool) and
        session_id where there are such. May be empty.

    Raises
    ------
    DatasetError
        If a column is missing or occurred_at does not hold datetimes.
    """
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise DatasetError(f"interactions need the columns {missing}, got {list(frame.columns)}")
    weight = read_numbers(frame["weight"])
    kept = frame[list(COLUMNS)].notna().all(axis=1).to_numpy(dtype=bool) & np.isfinite(weight)
    frame, weight, row = frame[kept], weight[kept], np.flatnonzero(kept)
    bought, visit = _bought(frame), _number_visits(frame)
    user, user_ids = _number_ids(frame["user_id"])
    product, product_ids = _number_ids(frame["product_id"])
    time = _unix_seconds(frame["occurred_at"])
    # A total order, so that equal data gives equal bytes however the rows came.
    order = np.lexsort((visit, bought, weight, product, user, time))
    return Interactions(
        user_ids,
        product_ids,
        user[order],
        product[order],
        weight[order],
        time[order],
        row[order],
        bought[order],
        visit[order],
    )


def read_numbers(column: pd.Series) -> npt.NDArray[np.float32]:
    """Read a column as float32; what is no number, or too large for one, becomes NaN."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    return np.where(np.isfinite(numbers), numbers, np.float32(np.nan))


def decay(age_s: npt.NDArray[np.float64], half_life_days: float) -> npt.NDArray[np.float64]:
    """Return 2^(-age / half-life); an age below zero (a fast clock) counts as zero."""
    if not half_life_days > 0:
        raise ValueError(f"half_life_days must be > 0, got {half_life_days}")
    return np.exp2(-np.maximum(age_s, 0.0) / (half_life_days * DAY_S))


def _number_ids(column: pd.Series) -> tuple[npt.NDArray[np.int32], list[str]]:
    codes, ids = pd.factorize(column.astype(str), sort=True)
    return codes.astype(np.int32), [str(value) for value in ids]


def _bought(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    if "bought" not in frame:
        return np.zeros(len(frame), dtype=bool)
    return np.asarray(frame["bought"].eq(True), dtype=bool)


def _number_visits(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    if "session_id" not in frame:
        return np.full(len(frame), -1, dtype=np.int64)
    named = frame["session_id"].notna() & frame["session_id"].ne("")
    codes, _ = pd.factorize(frame["session_id"].where(named).astype("string"), sort=True)
    return codes.astype(np.int64)


def _unix_seconds(column: pd.Series) -> npt.NDArray[np.float64]:
    if column.empty:
        return np.zeros(0, dtype=np.float64)
    if not pd.api.types.is_datetime64_any_dtype(column):
        raise DatasetError(f"occurred_at must hold datetimes, got {column.dtype}")
    aware = pd.to_datetime(column, utc=True)
    seconds = (aware - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return np.asarray(seconds, dtype=np.float64)
