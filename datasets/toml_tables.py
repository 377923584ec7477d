"""Turn a TOML table into a frozen dataclass, and name what is wrong with it."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from datasets.dataset import MappingError

T = TypeVar("T")

NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def build(cls: type[T], table: object, where: str) -> T:
    """Check keys and types of `table` against the fields of `cls` and build it.

    `where` is the path for people, such as `shop.toml: [events.time]`.
    """
    if not isinstance(table, Mapping):
        raise MappingError(f"{where} must be a table, got {table!r}")
    hints = get_type_hints(cls)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        raise MappingError(f"{where} unknown key {unknown[0]!r}; known keys: {', '.join(hints)}")
    values = {}
    for spec in fields(cls):  # type: ignore[arg-type]
        if spec.name in table:
            values[spec.name] = _convert(hints[spec.name], table[spec.name], f"{where} {spec.name}")
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise MappingError(f"{where} needs the key {spec.name!r}")
    try:
        return cls(**values)
    except MappingError as error:
        raise MappingError(f"{where} {error}") from None


def _convert(hint: Any, value: object, where: str) -> object:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert(next(arg for arg in args if arg is not type(None)), value, where)
    if origin is Literal:
        if value not in args:
            raise MappingError(f"{where} must be one of {', '.join(args)}, got {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise MappingError(f"{where} must be a list, got {value!r}")
        return tuple(_convert(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise MappingError(f"{where} must be a table, got {value!r}")
        return {key: _convert(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    if hint is float and type(value) is int:
        return float(value)
    if hint is not Any and type(value) is not hint:
        raise MappingError(f"{where} must be {NAMES[hint]}, got {value!r}")
    return value
