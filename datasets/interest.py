"""Read a directory of shop data as what training reads: interactions, a catalogue, and tasks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from datasets.dataset import DatasetError, MappingError, Product
from datasets.events import Rows, drop_unwanted, read_rows
from datasets.layouts import choose_mapping
from datasets.mapping import PRODUCT_FIELDS, EventsRule, read_mapping
from datasets.reading import guests, make_catalogue, split_codes
from datasets.recommend_rule import RecommendRule
from datasets.tables import check_columns, find_files, read_frame, read_header
from datasets.times import made_up
from event_types import CATALOGUE, canonical_name, types_by_counter

MOST_STARS = 5.0


@dataclass(frozen=True)
class ShopFiles:
    """A data set as its files have it: the times are not moved.

    `tasks` are those of the mapping; a mapping without them has one, which the data choose.
    """

    name: str
    directory: Path
    catalogue: pd.DataFrame
    tasks: tuple[RecommendRule, ...]
    events: EventsRule
    rows: Rows = field(repr=False)
    product_ids: pd.Series = field(repr=False)
    notes: tuple[str, ...] = ()

    def interactions(self, task: RecommendRule) -> pd.DataFrame:
        """Give user_id, product_id, weight, occurred_at, bought and session_id for a task.

        The lines of an order that name the same product are one interaction.
        Refunds and other events that show no interest are left out. A rating
        below the task's `min_rating` has the weight 0: met, and not liked.
        """
        rows = self._rows_of(task)
        product = self.product_ids[rows.frame.index]
        types = pd.Series(rows.facts["event_type"], index=rows.frame.index)
        frame = pd.DataFrame(
            {
                "user_id": _people(rows, self.events),
                "product_id": product,
                "weight": _weights(types, task),
                "occurred_at": rows.facts["time_ms"].astype("datetime64[ms]"),
                "bought": types.isin(types_by_counter()["sales", 1]),
                "session_id": _sessions(rows, self.events),
            }
        )
        kept = (product != "") & (frame["weight"] > 0)
        frame = _rate(frame, rows, types, task)[kept]
        if frame.empty:
            raise DatasetError(_nothing_left(task, types))
        return _merge_lines(frame)

    def left_out(self, task: RecommendRule) -> list[str]:
        """Say in sentences what of the files does not count for a task, and how much it is."""
        rows = self._rows_of(task)
        types = pd.Series(rows.facts["event_type"])
        silent = types[_weights(types, task) == 0].value_counts()
        return [
            *self.notes,
            *(f"Left out: {count:,} {reason}." for reason, count in rows.left_out.items()),
            *(
                f"{count:,} events of the type {kind} have no weight: they are not looked at."
                for kind, count in silent.items()
            ),
        ]

    def _rows_of(self, task: RecommendRule) -> Rows:
        rows = replace(self.rows, left_out=Counter())
        for drop in task.drop:
            drop_unwanted(rows, drop)
        return rows

    def questions(self, task: RecommendRule) -> tuple[pd.DataFrame, pd.Series]:
        """Give the questions of a task's files: the products given, and those asked for.

        The frame has the number of the question and the product_id, in the order
        of the cell; the series has one product_id for each question.
        """
        needed = {str(task.prefix): "prefix", str(task.target): "target"}
        frames = []
        for path in find_files(self.directory, task.files):
            options = {"encoding": self.events.encoding, "delimiter": self.events.delimiter}
            check_columns(path, read_header(path, **options), needed)
            frames.append(read_frame(path, list(needed), **options))
        frame = pd.concat(frames, ignore_index=True)
        frame = frame[(frame[task.prefix] != "") & (frame[task.target] != "")]
        frame = frame.reset_index(drop=True)
        separator = None if task.separator == " " else task.separator
        given = frame[task.prefix].str.split(separator).explode().dropna().str.strip()
        given = given[given != ""]
        table = pd.DataFrame({"question": given.index, "product_id": given.to_numpy()})
        return table, frame[task.target]


def read_shop(directory: Path, mapping: Path | None = None) -> ShopFiles:
    """Read the files of a directory by a mapping, as `read_dataset` does. Raises DatasetError."""
    if not directory.is_dir():
        raise DatasetError(f"{directory} is not a directory")
    chosen = read_mapping(mapping) if mapping else choose_mapping(directory)
    tasks = chosen.recommend or (RecommendRule(task="chosen by the data"),)
    extra = [rule.column for task in tasks for rule in task.drop]
    if not chosen.products.files:
        extra += chosen.products.needed()
    rows = read_rows(chosen.events, directory, tuple(extra))
    rows.frame = rows.frame.reset_index(drop=True)
    ids, _ = split_codes(rows, chosen.events)
    if (ids == "").all():
        raise MappingError("no event names a product: map a column to product_id")
    products, notes = make_catalogue(chosen, directory, rows, ids)
    notes += [f"Left out: {count:,} {reason}." for reason, count in rows.left_out.items()]
    notes += [sentence for sentence in [made_up(chosen.events.time)] if sentence]
    return ShopFiles(
        name=chosen.name,
        directory=directory,
        catalogue=make_frame(products, chosen.products.lists_of_fields()),
        tasks=tasks,
        events=chosen.events,
        rows=rows,
        product_ids=ids,
        notes=tuple(notes),
    )


def make_frame(products: list[Product], lists: dict[str, str]) -> pd.DataFrame:
    """Make the catalogue that training reads; `lists` names the attribute with all values.

    It has no ratings: those of the test window would be among them.
    """
    columns: dict[str, list[object]] = {name: [] for name in PRODUCT_FIELDS if name != "stock"}
    for product in products:
        for name, values in columns.items():
            many = product["attributes"].get(lists.get(name, ""))
            values.append("|".join(many) if isinstance(many, list) else product.get(name))
    return pd.DataFrame(columns)


def _people(rows: Rows, rule: EventsRule) -> pd.Series:
    columns = rule.columns
    none = pd.Series("", index=rows.frame.index, dtype=object)
    person = rows.text(columns["user_id"]) if "user_id" in columns else none
    if "guest" in columns:
        guest = guests(rows, rule)
        return person.where(guest == "", "guest-" + guest)
    if "anonymous_id" in columns:
        return person.where(person != "", rows.text(columns["anonymous_id"]))
    return person


def _sessions(rows: Rows, rule: EventsRule) -> pd.Series:
    if "session_id" in rule.columns:
        return rows.text(rule.columns["session_id"])
    return pd.Series("", index=rows.frame.index, dtype=object)


def _weights(types: pd.Series, task: RecommendRule) -> pd.Series:
    """Give each event the weight of its type: the task's own, else that of the event types."""
    known = {kind: CATALOGUE.get(canonical_name(kind)) for kind in types.unique()}
    weights = {kind: found.weight if found else 0.0 for kind, found in known.items()}
    return types.map(weights | task.weights).astype(float)


def _rate(frame: pd.DataFrame, rows: Rows, types: pd.Series, task: RecommendRule) -> pd.DataFrame:
    """Weigh ratings by their stars; an event without stars keeps its weight."""
    if "value" not in rows.facts:
        return frame
    stars = rows.facts["value"]
    rated = types.map(canonical_name).isin(("rate", "review_submit")).to_numpy() & ~np.isnan(stars)
    weight = np.where(rated, frame["weight"] * stars / MOST_STARS, frame["weight"])
    if task.min_rating is not None:
        weight = np.where(rated & (stars < task.min_rating), 0.0, weight)
    return frame.assign(weight=weight)


def _merge_lines(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep one line of each product of an order: of a session, or of a moment without one."""
    lines = frame[frame["bought"]]
    moment = lines["occurred_at"].astype("int64").astype(str)
    order = lines["session_id"].where(lines["session_id"] != "", moment)
    again = lines[["user_id", "product_id"]].assign(order=order).duplicated()
    return frame.drop(index=again.index[again])


def _nothing_left(task: RecommendRule, types: pd.Series) -> str:
    found = ", ".join(sorted(types.unique())[:5]) or "none"
    return (
        f"task {task.task!r}: no interaction is left. The events are of the types {found}; those "
        "that count have a weight, in the event types or in the task's 'weights'"
    )
