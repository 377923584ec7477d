"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from cli.words import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (12_345, "12,345 days")]
)
def test_a_number_is_written_with_its_noun(number: int, text: str) -> None:
    assert counted(number, "day") == text


def test_a_noun_with_a_plural_of_its_own_keeps_it() -> None:
    assert [counted(number, "day of it", "days of it") for number in (1, 2)] == [
        "1 day of it",
        "2 days of it",
    ]
