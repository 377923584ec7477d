"""How a row of somebody's file becomes one event: columns by name, by a mapping, or our own export.

The words are those of the mapping format (docs/data-sets.md); what a row says already in the
names of the contract needs no mapping.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from datasets.dataset import MappingError
from datasets.rules import TimeRule, TypeRule, check_names
from datasets.toml_tables import build
from intake.contract import FIELD_SYNONYMS, SCHEMA

#: What a batch has from its request stands in a file in each row.
SENDER_FIELDS = ("ip_address", "user_agent")
FIELDS = (*SCHEMA.fields, *SENDER_FIELDS)
_PROPERTY = "properties."
_EXPORTED = {"id": "event_id", "created_at": "occurred_at", "payload": "properties"}
#: Texts that begin with one of these are guarded with an apostrophe in an export as CSV.
_GUARDED = "\t\r'+-=@"
_WHOLE = re.compile(r"-?\d{1,15}(\.0+)?")
_NUMBER = re.compile(r"[-+]?\d{1,40}(\.\d{1,40})?([eE][-+]?\d{1,2})?")
_UNIX = re.compile(r"\d{9,13}(\.\d+)?")


class RowError(ValueError):
    """A row that becomes no event: `reason` is a code for programs."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class EventMapping:
    """Say which column becomes which field. Columns that nobody names keep their own names.

    `files` is for data sets, and not looked at here.
    """

    columns: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    type: TypeRule | None = None
    time: TimeRule | None = None
    encoding: str = "utf-8"
    delimiter: str = ","
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_names("columns", self.columns, FIELDS)
        check_names("constants", self.constants, FIELDS)
        check_names("values", self.values, tuple(self.columns))
        if self.time and (self.time.kind not in ("iso", "unix")):
            raise MappingError("time: an import needs real times, of the kind 'iso' or 'unix'")
        if len(self.delimiter) != 1:
            raise MappingError(f"delimiter must be one character, got {self.delimiter!r}")

    def with_pairs(self, pairs: Iterable[str]) -> "EventMapping":
        """Add columns given as `their=ours`, where ours may be `properties.name`."""
        columns, properties = dict(self.columns), dict(self.properties)
        for pair in pairs:
            theirs, _, ours = pair.partition("=")
            if not theirs or not ours:
                raise MappingError(f"a mapping is written their=ours, got {pair!r}")
            if ours.startswith(_PROPERTY):
                properties[ours.removeprefix(_PROPERTY)] = theirs
            else:
                columns[ours] = theirs
        return replace(self, columns=columns, properties=properties)

    def needed(self) -> set[str]:
        """Give the columns that the mapping names."""
        named = {*self.columns.values(), *self.properties.values()}
        named |= {rule.column for rule in (self.type, self.time) if rule and rule.column}
        return named

    def to_event(self, row: dict[str, Any], *, from_text: bool) -> dict[str, Any]:
        """Make an event in the shape of the contract, which has not judged it yet.

        `from_text` says that all values are texts. Raises RowError.
        """
        needed = self.needed()
        event = {name: value for name, value in row.items() if name not in needed}
        for name, column in self.columns.items():
            if column in row:
                value = row[column]
                event[name] = self.values.get(name, {}).get(str(value), value)
        if self.type is not None:
            event["event_type"] = self._type(row, self.type)
        if self.time is not None:
            event["occurred_at"] = _time(row.get(self.time.column or ""), self.time)
        if from_text:
            event = {name: _typed(name, value) for name, value in event.items()}
        for name, value in self.constants.items():
            event.setdefault(name, value)
        taken = {name: row[column] for name, column in self.properties.items() if column in row}
        given = event.get("properties") or {}
        if taken and isinstance(given, dict):
            event["properties"] = {**given, **taken}
        return event

    def _type(self, row: dict[str, Any], rule: TypeRule) -> Any:
        if rule.column is None:
            return rule.constant
        value = row.get(rule.column)
        if value in rule.drop:
            raise RowError("dropped", f"the mapping drops rows with {rule.column} {value!r}")
        return rule.values.get(str(value), value)


@dataclass(frozen=True)
class _File:
    events: EventMapping
    name: str = ""
    description: str = ""
    notes: tuple[str, ...] = ()


def read_event_mapping(path: Path) -> EventMapping:
    """Read and check a mapping file; a MappingError names the file, the key and the fault."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MappingError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{path.name}: not valid TOML: {error}") from error
    return build(_File, table, f"{path.name}:").events


def restore_exported(row: dict[str, Any]) -> dict[str, Any]:
    """Give a row of an export the names of the contract, and its texts as they were stored.

    When it was sent and came is not taken over: it comes again.
    """
    fields = {_EXPORTED.get(name, name): value for name, value in row.items()}
    for name in ("received_at", "sent_at"):
        fields.pop(name, None)
    return fields


def restore_cell(text: Any) -> Any:
    """Take off the apostrophe that an export as CSV sets before what might be a formula."""
    guarded = isinstance(text, str) and text[:1] == "'" and text[1:2] in _GUARDED
    return text[1:] if guarded and len(text) > 1 else text


def _time(value: Any, rule: TimeRule) -> Any:
    if value is None:
        return None
    try:
        if rule.kind == "unix":
            return float(value) / (1 if rule.unit == "s" else 1000)
        if rule.format is None:
            return value
        moment = datetime.strptime(str(value), rule.format)  # noqa: DTZ007
    except ValueError as error:
        raise RowError("no_time", f"{rule.column} {str(value)[:40]!r}: {error}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _typed(name: str, value: Any) -> Any:
    """Read a cell as the kind of value its field has; what does not fit, the contract refuses."""
    if not isinstance(value, str):
        return value
    match FIELD_SYNONYMS.get(name, name):
        case "properties" | "context" | "items":
            try:
                return orjson.loads(value)
            except orjson.JSONDecodeError:
                return value
        case "quantity" | "duration_ms" if _WHOLE.fullmatch(value):
            return int(value.partition(".")[0])
        case "value" if _NUMBER.fullmatch(value):
            return float(value)
        case "occurred_at" if _UNIX.fullmatch(value):
            return float(value)
    return value
