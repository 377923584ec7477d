"""Rows of text become columns of events; what cannot is left out and counted."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasets.dataset import DatasetError
from datasets.mapping import EventsRule
from datasets.rules import DropRule, RefundRule, TypeRule
from datasets.tables import NO_NUMBER, check_columns, find_files, read_frame, read_header
from datasets.times import NO_TIME, read_times

ROW, ITEM = "__row", "__item"
AMOUNTS = ("quantity", "unit_price", "value")
LARGEST_QUANTITY = 2**53
"""Beyond it a float cannot hold every whole number."""


@dataclass
class Rows:
    """The rows kept so far, as text, and why the others went.

    `facts` are arrays beside the frame: numbers, types, times.
    """

    frame: pd.DataFrame
    facts: dict[str, NDArray[Any]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def drop(self, gone: NDArray[np.bool_], reason: str) -> None:
        """Leave out the rows marked in `gone`."""
        if gone.any():
            self.left_out[reason] += int(gone.sum())
            self.frame = self.frame[~gone]
            self.facts = {name: values[~gone] for name, values in self.facts.items()}

    def text(self, column: str) -> pd.Series:
        return self.frame[column]


def read_rows(rule: EventsRule, directory: Path, extra: tuple[str, ...] = ()) -> Rows:
    """Read the event files and carry out the mapping's steps, in the order of this list."""
    rows = Rows(read_files(rule, directory, extra))
    for drop in rule.drop:
        drop_unwanted(rows, drop)
    if rule.sequence:
        rows.frame = explode(rows.frame, rule.sequence.column, rule.sequence.separator)
    drop_nobody(rows, rule)
    put_types(rows, rule.type)
    for name in AMOUNTS:
        if name in rule.columns:
            put_number(rows, name, rule.columns[name])
    put_refunds(rows, rule.refund)
    put_value(rows)
    put_times(rows, rule)
    if rows.frame.empty:
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in rows.left_out.items())
        raise DatasetError(f"no event is left of {', '.join(rule.files)}: {reasons or 'no rows'}")
    return rows


def read_files(rule: EventsRule, directory: Path, extra: tuple[str, ...]) -> pd.DataFrame:
    """Read all files below each other; the row number is the identity of a row."""
    needed = rule.needed() | dict.fromkeys(extra, "products")
    options = {"encoding": rule.encoding, "delimiter": rule.delimiter}
    paths = find_files(directory, rule.files)
    for path in paths:
        check_columns(path, read_header(path, **options), needed)
    frames = [read_frame(path, list(needed), **options) for path in paths]
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    frame[ROW] = np.arange(1, len(frame) + 1)
    return frame


def explode(frame: pd.DataFrame, column: str, separator: str) -> pd.DataFrame:
    """Make one row of each product of the sequence."""
    parts = frame[column].str.split(None if separator == " " else separator)
    exploded = frame.assign(**{ITEM: parts}).explode(ITEM, ignore_index=True).dropna(subset=[ITEM])
    exploded[ITEM] = exploded[ITEM].str.strip()
    exploded[ROW] = np.arange(1, len(exploded) + 1)
    return exploded.reset_index(drop=True)


def drop_unwanted(rows: Rows, rule: DropRule) -> None:
    text = rows.text(rule.column)
    if rule.empty:
        gone, why = text == "", f"rows without {rule.column}"
    elif rule.below is not None:
        gone = ~(pd.to_numeric(text, errors="coerce") >= rule.below)
        why = f"rows with {rule.column} below {rule.below:g}"
    else:
        gone, why = text.str.contains(rule.matches), f"rows with {rule.column} {rule.matches}"
    rows.drop(gone.to_numpy(dtype=bool), rule.reason or why)


def drop_nobody(rows: Rows, rule: EventsRule) -> None:
    gone = np.ones(len(rows.frame), dtype=bool)
    for name in ("user_id", "anonymous_id", "guest"):
        if name in rule.columns:
            gone &= (rows.text(rule.columns[name]) == "").to_numpy(dtype=bool)
    rows.drop(gone, "rows that name no person")


def put_types(rows: Rows, rule: TypeRule) -> None:
    """Translate the type column; a value that the mapping does not name is an error."""
    if rule.column is None:
        rows.facts["event_type"] = np.full(len(rows.frame), rule.constant, dtype=object)
        return
    for value in rule.drop:
        gone = (rows.text(rule.column) == value).to_numpy(dtype=bool)
        rows.drop(gone, f"rows with {rule.column} {value!r}")
    types = rows.text(rule.column)
    if rule.values:
        unknown = sorted(set(types.unique()) - set(rule.values))
        if unknown:
            raise DatasetError(
                f"column {rule.column!r} has the value {unknown[0]!r}, which [events.type] names "
                f"neither in values nor in drop; values: {', '.join(rule.values)}"
            )
        types = types.map(rule.values)
    rows.facts["event_type"] = types.to_numpy(dtype=object)
    rows.drop(rows.facts["event_type"] == "", "rows without a type")


def put_number(rows: Rows, name: str, column: str) -> None:
    """Read a number; an empty cell or a word for none means none, other text leaves it out."""
    text = rows.text(column)
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(values)
    wrong[wrong] = ~text[wrong].str.casefold().isin(NO_NUMBER).to_numpy(dtype=bool)
    if name == "quantity":
        wrong |= np.isfinite(values) & (values != np.floor(values))
        wrong |= np.abs(values) > LARGEST_QUANTITY
    rows.facts[name] = values
    kind = "whole number" if name == "quantity" else "number"
    rows.drop(wrong, f"rows whose {column} is not a {kind}")


def put_refunds(rows: Rows, rule: RefundRule) -> None:
    """Mark what gives something back, and make its amounts positive."""
    refund = np.zeros(len(rows.frame), dtype=bool)
    if rule.column is not None and rule.prefix is not None:
        refund |= rows.text(rule.column).str.startswith(rule.prefix).to_numpy(dtype=bool)
    if rule.negative_quantity:
        refund |= rows.facts["quantity"] < 0
    if rule.negative_price:
        refund |= rows.facts["unit_price"] < 0
    rows.facts["event_type"] = np.where(refund, "refund", rows.facts["event_type"])
    for name in AMOUNTS:
        if name in rows.facts:
            amounts = rows.facts[name]
            rows.facts[name] = np.where(refund, np.abs(amounts), amounts)
    for name in AMOUNTS:
        if name in rows.facts:
            rows.drop(rows.facts[name] < 0, f"rows with a negative {name} that are no refund")


def put_value(rows: Rows) -> None:
    """Multiply quantity and unit price; without a quantity the unit price is the value."""
    if "unit_price" in rows.facts:
        quantity = rows.facts.get("quantity", np.array(1.0))
        with np.errstate(over="ignore"):
            rows.facts["value"] = np.round(rows.facts["unit_price"] * quantity, 4)
        rows.drop(np.isinf(rows.facts["value"]), "rows whose value is too large")


def put_times(rows: Rows, rule: EventsRule) -> None:
    columns = rule.columns
    people = rows.text(columns.get("user_id") or columns.get("anonymous_id") or columns["guest"])
    visits = rows.text(columns["session_id"]) if "session_id" in columns else people
    rows.facts["time_ms"] = read_times(rule.time, rows.frame, people, visits)
    wrong = rows.facts["time_ms"] == NO_TIME
    example = (
        f", such as {rows.text(str(rule.time.column))[wrong].iloc[0]!r}" if wrong.any() else ""
    )
    rows.drop(wrong, f"rows whose {rule.time.column} is not a time{example}")
