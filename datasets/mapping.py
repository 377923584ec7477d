"""The mapping format: how the columns of somebody's files become products and events.

docs/data-sets.md explains each key with an example.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from datasets.dataset import MappingError
from datasets.recommend_rule import RecommendRule
from datasets.rules import (
    CodeRule,
    DropRule,
    RefundRule,
    SequenceRule,
    TimeRule,
    TypeRule,
    check_names,
)
from datasets.toml_tables import build

EVENT_FIELDS = (
    "product_id", "user_id", "anonymous_id", "guest", "session_id", "source", "device_type",
    "entity_type", "entity_id", "quantity", "unit_price", "value",
)  # fmt: skip
CONSTANT_FIELDS = ("source", "device_type", "entity_type", "properties")
PRODUCT_FIELDS = (
    "product_id", "name", "category", "price", "gender", "color", "material", "size", "stock",
)  # fmt: skip


@dataclass(frozen=True)
class EventsRule:
    files: tuple[str, ...]
    type: TypeRule
    time: TimeRule
    columns: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    refund: RefundRule = field(default_factory=RefundRule)
    drop: tuple[DropRule, ...] = ()
    codes: CodeRule | None = None
    sequence: SequenceRule | None = None
    encoding: str = "utf-8"
    delimiter: str = ","

    def __post_init__(self) -> None:
        check_names("columns", self.columns, EVENT_FIELDS)
        check_names("constants", self.constants, CONSTANT_FIELDS)
        check_names("values", self.values, tuple(self.columns))
        if not {"user_id", "anonymous_id", "guest"} & set(self.columns):
            raise MappingError("columns needs one of user_id, anonymous_id, guest: who did it?")
        if self.refund.negative_quantity and "quantity" not in self.columns:
            raise MappingError("refund.negative_quantity needs columns.quantity")
        if self.refund.negative_price and "unit_price" not in self.columns:
            raise MappingError("refund.negative_price needs columns.unit_price")
        if "value" in self.columns and "unit_price" in self.columns:
            raise MappingError("columns takes value or unit_price, not both")
        if {"anonymous_id", "guest"} <= set(self.columns):
            raise MappingError("columns takes anonymous_id or guest, not both")
        if self.codes and {"entity_type", "entity_id"} & {*self.columns, *self.constants}:
            raise MappingError("codes gives entity_type and entity_id; take them out of columns")
        if not isinstance(self.constants.get("properties", {}), dict):
            raise MappingError("constants.properties must be a table")
        if self.sequence and "product_id" in self.columns:
            raise MappingError("the sequence gives the product_id; take it out of columns")

    def needed(self) -> dict[str, str]:
        """Give each column of the files that the rule names, with what it is for."""
        named = {column: name for name, column in self.columns.items()}
        named |= {column: f"properties.{name}" for name, column in self.properties.items()}
        named |= {rule.column: "drop" for rule in self.drop}
        for column, use in (
            (self.type.column, "type"), (self.time.column, "time"), (self.time.order, "time.order"),
            (self.refund.column, "refund"), (self.sequence and self.sequence.column, "sequence"),
        ):  # fmt: skip
            if column:
                named[column] = use
        return named


@dataclass(frozen=True)
class ProductsRule:
    """Without `files` the columns are those of the events."""

    files: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    name: str = "Product {product_id}"
    attributes: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    separator: str = "|"
    encoding: str = "utf-8"
    delimiter: str = ","

    def __post_init__(self) -> None:
        check_names("columns", self.columns, PRODUCT_FIELDS)
        check_names("constants", self.constants, PRODUCT_FIELDS[1:])
        if self.files and "product_id" not in self.columns:
            raise MappingError("columns needs product_id")
        template_columns(self.name)

    def needed(self) -> dict[str, str]:
        named = {column: f"attributes ({column})" for column in self.attributes if column != "*"}
        named |= dict.fromkeys(self.lists, "lists")
        named |= dict.fromkeys(template_columns(self.name), "name")
        return named | {column: name for name, column in self.columns.items()}

    def lists_of_fields(self) -> dict[str, str]:
        """Give the fields whose column holds several values, with that column."""
        return {name: column for name, column in self.columns.items() if column in self.lists}


@dataclass(frozen=True)
class Mapping:
    name: str
    events: EventsRule
    description: str = ""
    notes: tuple[str, ...] = ()
    products: ProductsRule = field(default_factory=ProductsRule)
    recommend: tuple[RecommendRule, ...] = ()

    def __post_init__(self) -> None:
        names = [rule.task for rule in self.recommend]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise MappingError(f"recommend: two tasks are named {twice[0]!r}")


def template_columns(template: str) -> list[str]:
    """Give the columns that a name is made of; fields of the product are none."""
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise MappingError(f"name {template!r}: {error}") from error
    if not all(name.strip() and set(name).isdisjoint(".[") for name in names):
        raise MappingError(f"name {template!r} must name a column in each pair of braces")
    return [name for name in names if name not in PRODUCT_FIELDS]


def read_mapping(path: Path) -> Mapping:
    """Read and check a mapping file; a MappingError names the file, the key and the fault."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MappingError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{path.name}: not valid TOML: {error}") from error
    return build(Mapping, table, f"{path.name}:")
