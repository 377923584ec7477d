"""What an event costs as an installation grows: in stored events, products, hot ones, workers.

Each point is a Millrace of its own. The reference table of COPY begins empty at every point and
grows by the rounds only: it tells what the machine gives at that moment, so that what changes along
a curve is Millrace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.events import Shape
from bench.ingest import Result
from bench.limits import Limit

BATCH = 100
#: What a point has unless its curve says otherwise.
PRODUCTS = 10_000
HOT_SHARE = 0.9
#: From the fewest to the most stored events.
MOST_DECLINE = 0.2
CURVES = ("stored", "products", "hot", "workers")


@dataclass(frozen=True, slots=True)
class Point:
    """What the Millrace of one measurement is like."""

    curve: str
    stored: int
    workers: int
    products: int = PRODUCTS
    hot_share: float = 0.0

    @property
    def shape(self) -> Shape:
        """Give what its events are about."""
        return Shape(self.products, self.hot_share)


@dataclass(frozen=True, slots=True)
class Measured:
    """A point and its figures, with how many events the day has into which all others go."""

    point: Point
    result: Result
    stored_today: int

    def as_answer(self) -> dict[str, Any]:
        """Give the figures by name."""
        return {
            **asdict(self.point),
            "stored_today": self.stored_today,
            **self.result.as_answer(),
            "cpu_us_per_event_by_group": self.result.cpu_by_group(),
        }


def list_points(
    curves: Sequence[str],
    *,
    stored: Sequence[int],
    products: Sequence[int],
    workers: Sequence[int],
    usual_workers: int,
) -> list[Point]:
    """List the points of the curves, those of a curve in a row. All others have the fewest stored
    events.
    """
    fewest = min(stored)
    points = {
        "stored": [Point("stored", count, usual_workers) for count in sorted(stored)],
        "products": [Point("products", fewest, usual_workers, count) for count in sorted(products)],
        "hot": [Point("hot", fewest, usual_workers, hot_share=share) for share in (0.0, HOT_SHARE)],
        "workers": [Point("workers", fewest, count) for count in sorted(workers)],
    }
    return [point for curve in curves for point in points[curve]]


def join(parts: Sequence[Measured]) -> Measured:
    """Join the measurements of one point at several times."""
    rounds = [one for part in parts for one in part.result.rounds]
    p50_ms, p99_ms = (
        median(getattr(part.result, name) for part in parts) for name in ("p50_ms", "p99_ms")
    )
    return Measured(parts[0].point, Result(BATCH, rounds, p50_ms, p99_ms), parts[0].stored_today)


def check_decline(found: Sequence[Measured]) -> list[Limit]:
    """Hold the ends of the curve of stored events against each other, COPY being the measure."""
    grown = [item for item in found if item.point.curve == "stored"]
    if len(grown) < 2:
        return []
    first, last = (item.result.as_answer() for item in (grown[0], grown[-1]))
    rate = 1 - last["ratio_to_copy"] / first["ratio_to_copy"]
    cpu = last["cpu_over_copy"] / first["cpu_over_copy"] - 1
    span = f"from {grown[0].point.stored:,} to {grown[-1].point.stored:,} stored"
    return [
        Limit(f"decline of rate / COPY {span}", round(rate, 3), MOST_DECLINE),
        Limit(f"growth of CPU / COPY {span}", round(cpu, 3), MOST_DECLINE),
    ]
