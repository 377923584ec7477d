"""The options that measurements share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

as_json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object last."
)


def number_option(
    name: str, default: float, bounds: click.IntRange | click.FloatRange, help: str
) -> Decorator:
    """Make an option `--name` for a number within bounds, with a default that its help shows."""
    return click.option(f"--{name}", default=default, show_default=True, type=bounds, help=help)


def seed_option(help: str, *, default: int = 1) -> Decorator:
    """Make the option `--seed`."""
    return number_option("seed", default, click.IntRange(0), help)


class FiniteRange(click.FloatRange):
    """A number within bounds, and not nan: no bound holds that, since it compares with nothing."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"must be a finite number, got {value}", param, ctx)
        return number
