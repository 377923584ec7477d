"""One product's metrics as the API shows them: counters, means and rates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from models.metrics_report import MEANS, PROPORTIONS
from models.rates import mean, proportion


def show_metrics(row: Row[Any], priors: dict[str, float]) -> dict[str, Any]:
    """Add its rates to the counters of a row of `models.metrics_report`."""
    counters: dict[str, Any] = dict(row._mapping)
    proportions = {
        name: proportion(counters[part], counters[whole], prior=priors[name])
        for name, (part, whole) in PROPORTIONS.items()
    }
    means = {
        name: mean(float(counters[part]), counters[whole], prior=priors[name], weight=weight)
        for name, (part, whole, weight) in MEANS.items()
    }
    rating = means.pop("rating")
    places = counters["position_count"]
    return {
        **counters,
        "average_rating": rating.value,
        "smoothed_rating": rating.smoothed,
        "average_position": counters["position_sum"] / places if places > 0 else None,
        "rates": {**proportions, **means},
    }
