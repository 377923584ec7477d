"""The rates of the whole shop, towards which those of products are smoothed, kept for a while.

To add up all products takes as long as to sort them, and the shop's rates move slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

KEEP_S = 60.0
#: Spans of days whose rates are kept at a time.
MAX_SPANS = 100


class ShopRates:
    """Rates by span of days, each at most KEEP_S old."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[float, dict[str, float]]] = {}

    def get(
        self, span: Hashable, read: Callable[[], dict[str, float]], *, now: float
    ) -> dict[str, float]:
        """Give the rates of a span, and read them where they are not known or too old.

        Two threads may read the same at once; both are right.
        """
        known = self._kept.get(span)
        if known is not None and 0 <= now - known[0] < KEEP_S:
            return known[1]
        rates = read()
        if len(self._kept) >= MAX_SPANS:
            self._kept = {}
        self._kept[span] = (now, rates)
        return rates
