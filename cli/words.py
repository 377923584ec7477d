"""Words of the commands' output."""

from __future__ import annotations


def counted(number: int, thing: str, things: str | None = None) -> str:
    """Write a number with its noun: `1 product`, `2,000 products`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"
