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
        if value is None:
            return None
        text = f"{Decimal(value):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text


class Money(Exact):
    """An amount of money: exact, with two digits behind the point, or more where it has more."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        text = super()._serialize(value, attr, obj, **kwargs)
        if text is None:
            return None
        whole, _, part = text.partition(".")
        return f"{whole}.{part:0<2}"


class Rounded(fields.Float):
    """A number with `digits` behind the point."""

    digits = 6

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
