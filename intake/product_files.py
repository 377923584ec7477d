"""Read products from JSON, NDJSON or CSV, one after the other, each judged by itself."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, get_args

from marshmallow import ValidationError

from intake.contract import messages_of
from intake.json_array import read_array, read_json
from intake.products import PRODUCT_FIELDS, load_product
from intake.text_lines import MAX_BYTES, FileError, Text, read_text_lines

Format = Literal["json", "ndjson", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
#: The header tells which of these parts the cells.
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Entry:
    """One product of a file: its fields, or what is wrong with it."""

    index: int
    #: Where it ends, in formats that have lines, from 1.
    line: int | None
    product: dict[str, Any] | None = None
    errors: dict[str, Any] | None = None


def read_products(
    stream: BinaryIO, format: Format, *, names: Mapping[str, str] | None = None
) -> Iterator[Entry]:
    """Read the products of a stream, in memory for one product.

    `names` are other names for fields: the file's → ours, or → the empty text for what is to be
    left out. Raises FileError when the file as a whole cannot be read on.
    """
    readers = {"json": _read_json, "ndjson": _read_ndjson, "csv": _read_csv}
    for index, (line, value) in enumerate(readers[format](stream, names or {})):
        try:
            if isinstance(value, ValidationError):
                raise value
            product = load_product(value)
        except ValidationError as error:
            yield Entry(index, line, errors=messages_of(error))
            continue
        yield Entry(index, line, product=product)


def _read_json(stream: BinaryIO, names: Mapping[str, str]) -> Iterator[tuple[int | None, Any]]:
    for value in read_array(stream, key="products"):
        yield None, _rename(value, names)


def _read_ndjson(stream: BinaryIO, names: Mapping[str, str]) -> Iterator[tuple[int | None, Any]]:
    for line in read_text_lines(stream):
        if isinstance(line.text, ValidationError):
            yield line.number, line.text
        elif line.text.strip():
            yield line.number, _rename(_read_line(line.text), names)


def _read_line(text: str) -> Any:
    try:
        return read_json(text)
    except RecursionError:
        return ValidationError("Is nested too deeply.")
    except ValueError as error:
        return ValidationError(f"Is no JSON: {error}.")


def _rename(value: Any, names: Mapping[str, str]) -> Any:
    if not names or not isinstance(value, dict):
        return value
    renamed = ((names.get(name, name), item) for name, item in value.items())
    return {name: item for name, item in renamed if name}


def _read_csv(stream: BinaryIO, names: Mapping[str, str]) -> Iterator[tuple[int | None, Any]]:
    lines = _texts(read_text_lines(stream))
    first = next(lines, "")
    delimiter = max(_DELIMITERS, key=first.count)
    # A bound of the whole process: whoever reads CSV says which one it needs.
    csv.field_size_limit(MAX_BYTES)
    rows = csv.reader(_chain(first, lines), delimiter=delimiter, strict=True)
    try:
        header = _read_header(next(rows, []), names)
        for cells in rows:
            if cells:
                yield rows.line_num, _read_cells(header, cells)
    except csv.Error as error:
        raise FileError("not_csv", f"line {rows.line_num} is no CSV: {error}") from None


def _texts(lines: Iterable[Text]) -> Iterator[str]:
    for line in lines:
        if isinstance(line.text, ValidationError):
            raise FileError("not_csv", f"line {line.number} cannot be read: {line.text}")
        yield line.text


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _read_header(cells: list[str], names: Mapping[str, str]) -> list[str]:
    header = [names.get(cell.strip(), cell.strip()) for cell in cells]
    if "product_id" not in header:
        raise FileError(
            "no_header",
            "the first line must name the columns, product_id among them; "
            f"it has: {', '.join(header)[:200] or 'nothing'}",
        )
    twice = {name for name in header if name and header.count(name) > 1}
    if twice:
        raise FileError("no_header", f"the header names {sorted(twice)[0][:100]!r} twice")
    return header


def _read_cells(header: list[str], cells: list[str]) -> Any:
    """Make the native shape of one row; empty cells are left out, other columns are attributes."""
    if len(cells) > len(header):
        return ValidationError(f"Has {len(cells)} cells, the header has {len(header)}.")
    product: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, cell in zip(header, map(str.strip, cells), strict=False):
        if name and cell:
            (product if name in PRODUCT_FIELDS else extra)[name] = cell
    stock = product.get("stock")
    if stock is not None and _WHOLE.fullmatch(stock):
        product["stock"] = int(stock)
    try:
        written = read_json(product.pop("attributes", "{}"))
    except (ValueError, RecursionError):
        return ValidationError({"attributes": ["Must be a JSON object."]})
    if not isinstance(written, dict):
        return ValidationError({"attributes": ["Must be a JSON object."]})
    if extra or written:
        product["attributes"] = {**extra, **written}
    return product
