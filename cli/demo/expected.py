"""What the counters must say: counted from the events as they are sent, apart from the database.

This is a second, independent reading of the rule in `models.product_metrics`, in plain Python;
the demo fails when the two disagree.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_COUNTED = {
    "product_list_view": "total_impressions",
    "product_view": "total_views",
    "product_click": "total_clicks",
    "favorite_add": "total_favorites",
    "add_to_cart": "total_cart_additions",
    "remove_from_cart": "total_cart_removals",
}


@dataclass(slots=True)
class Expected:
    """The sums over all products, as the client counts them."""

    events: int = 0
    sums: Counter[str] = field(default_factory=Counter)
    revenue: Decimal = Decimal(0)

    def add(self, event: dict[str, Any]) -> None:
        """Count one event that is sent."""
        self.events += 1
        kind = event["event_type"]
        for line in event.get("items") or [event]:
            if "product_id" in line:
                self._add_line(kind, line)

    def _add_line(self, kind: str, line: dict[str, Any]) -> None:
        if kind in _COUNTED:
            self.sums[_COUNTED[kind]] += 1
        elif kind in ("purchase", "refund"):
            sign = 1 if kind == "purchase" else -1
            self.sums["total_sales"] += sign * line.get("quantity", 1)
            # The number as it is written in the JSON, not as a binary fraction.
            self.revenue += sign * Decimal(repr(line.get("value", 0)))
        elif kind == "rate" and "value" in line:
            self.sums["rating_count"] += 1
