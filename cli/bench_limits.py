"""How measurements show their limits."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.limits import Limit

#: The end of a measurement's help.
NO_TEST = "A missed limit is told and no error: the exit code is 0."


def print_limits(console: Console, limits: Sequence[Limit]) -> None:
    """Print each figure beside its limit."""
    table = Table("figure", "value", "limit", "")
    for item in limits:
        bound = "at most" if item.is_most else "at least"
        told = "ok" if item.is_kept else "[bold red]missed[/]"
        table.add_row(item.name, f"{item.value:g}", f"{bound} {item.limit:g}", told)
    console.print(table)
