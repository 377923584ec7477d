"""Ids and numbers as other systems' clients write them: either may be a text or a number."""

from __future__ import annotations

import re
from typing import Any

from intake.contract import MAX_AMOUNT, MAX_ID, MAX_INT

_NUMBER = re.compile(r"\s*[-+]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][-+]?\d{1,2})?\s*")


def read_id(value: Any) -> Any:
    """Give an id as a text, None for none. What is neither text nor number stays as it is.

    The contract refuses that, and says why.
    """
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def find_id(value: Any) -> str | None:
    """Give a text or whole number as an id that the contract takes; None for anything else."""
    if type(value) is int:
        value = str(value)
    return value if type(value) is str and 0 < len(value) <= MAX_ID else None


def read_number(value: Any) -> float | None:
    """Read an amount within the contract's bounds, given as a number or a text; None otherwise."""
    if type(value) is str and _NUMBER.fullmatch(value):
        value = float(value)
    if type(value) is not float and type(value) is not int:
        return None
    return float(value) if -MAX_AMOUNT < value < MAX_AMOUNT else None


def read_whole(value: Any) -> int | None:
    """Read a count, given as a whole number or a text; None otherwise."""
    if type(value) is int:
        return value if 0 <= value <= MAX_INT else None
    number = read_number(value)
    if number is None or not number.is_integer() or not 0 <= number <= MAX_INT:
        return None
    return int(number)
