"""CSV for spreadsheets: what goes in comes out, and nothing is a formula."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.csv_stream import stream_csv


def read_back(rows: list[tuple[Any, ...]]) -> list[list[str]]:
    text = "".join(stream_csv(["a", "b"], rows))
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(st.tuples(st.text(), st.text())))
def test_texts_are_read_back_and_none_begins_a_formula(rows: list[tuple[str, str]]) -> None:
    header, *lines = read_back(rows)

    assert header == ["a", "b"]
    assert [[cell.removeprefix("'") for cell in line] for line in lines] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    assert not any(
        cell.startswith(("=", "+", "-", "@", "\t", "\r")) for line in lines for cell in line
    )


def test_values_are_written_for_people_and_programs() -> None:
    moment = datetime(2026, 3, 15, 12, tzinfo=UTC)

    rows = read_back([(None, moment), ({"a": 1}, [1]), (Decimal("-1.50"), -3)])

    assert rows[1:] == [
        ["", "2026-03-15T12:00:00+00:00"],
        ['{"a":1}', "[1]"],
        ["-1.50", "-3"],
    ]


def test_a_long_file_comes_in_pieces() -> None:
    pieces = list(stream_csv(["a"], ((n,) for n in range(1200))))

    assert len(pieces) == 3
    assert "".join(pieces).count("\n") == 1201
