"""The shop's rates are read once a minute and span."""

from __future__ import annotations

from app.shop_rates import KEEP_S, MAX_SPANS, ShopRates


def test_rates_are_kept_for_a_minute_and_by_span() -> None:
    rates, reads = ShopRates(), []

    def read() -> dict[str, float]:
        reads.append(len(reads))
        return {"cart_rate": float(len(reads))}

    first = rates.get("all", read, now=0)
    assert rates.get("all", read, now=KEEP_S - 1) is first
    assert rates.get("march", read, now=1) == {"cart_rate": 2.0}
    assert rates.get("all", read, now=KEEP_S) == {"cart_rate": 3.0}
    assert len(reads) == 3


def test_a_clock_that_is_set_back_does_not_keep_rates_for_ever() -> None:
    rates = ShopRates()
    rates.get("all", lambda: {"cart_rate": 1.0}, now=1e9)

    assert rates.get("all", lambda: {"cart_rate": 2.0}, now=0) == {"cart_rate": 2.0}


def test_asking_for_many_spans_does_not_fill_the_memory() -> None:
    rates = ShopRates()

    for span in range(3 * MAX_SPANS):
        rates.get(span, dict, now=0)

    assert len(rates._kept) <= MAX_SPANS
