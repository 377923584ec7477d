"""Amounts of money: exact, so as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from marshmallow import fields


class Money(fields.String):
    """A decimal as text without needless zeros: numbers of JSON lose digits in many readers."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        if value is None:
            return None
        text = f"{Decimal(value):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
