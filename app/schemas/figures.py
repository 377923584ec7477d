"""Figures of answers: exact amounts as text; rates and times without digits that say nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from marshmallow import fields, validate

#: Where a report was read: `both` where some days of its range wait for aggregation.
SOURCES = ("aggregates", "events", "both")


class Exact(fields.String):
    """A decimal as text without needless zeros: numbers of JSON lose digits in many readers."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else exact_text(value)


class Money(Exact):
    """An amount of money: exact, with two digits behind the point, or more where it has more."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else money_text(value)


def exact_text(value: Any) -> str:
    """Write a decimal as `Exact` does."""
    text = f"{Decimal(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money_text(value: Any) -> str:
    """Write an amount as `Money` does."""
    whole, _, part = exact_text(value).partition(".")
    return f"{whole}.{part:0<2}"


#: Digits behind the point that say something.
DIGITS = 6


class Rounded(fields.Float):
    """A number with `digits` behind the point."""

    digits = DIGITS

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> float | None:
        return None if value is None else round(float(value), self.digits)


class Rate(Rounded):
    """A share, a rate or a mean."""


class Elapsed(Rounded):
    """A time in the unit of its name; the clocks of senders are no finer."""

    digits = 3


def from_field(*sources: str) -> fields.String:
    """Declare `from`: what an answer's figures were read from."""
    return fields.String(
        data_key="from",
        validate=validate.OneOf(sources),
        dump_default=sources[0],
        metadata={
            "description": "what the figures were read from: aggregates of days, stored events, or "
            "both, where some days wait for aggregation"
        },
    )
