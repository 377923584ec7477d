"""Cost curves: which points there are, what their events are about, and what a decline is."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest
from click.testing import CliRunner

from bench.curves import HOT_SHARE, Measured, Point, check_decline, join, list_points
from bench.events import Plan, Shape, make_bodies
from bench.ingest import Result, Round
from cli.bench_curves import curves, name_point


def products_of(shape: Shape) -> Counter[str]:
    plan = Plan(events=2_000, batch=1, seed=1, last_ms=1_000_000_000, shape=shape)
    events = map(orjson.loads, make_bodies(plan))
    return Counter(event["product_id"] for event in events if "product_id" in event)


def measured(stored: int, *, ingest_s: float, cpu_s: float) -> Measured:
    one = Round(100, ingest_s, copy_s=1.0, ingest_cpu={"web": cpu_s}, copy_cpu_s=1.0)
    return Measured(Point("stored", stored, 2), Result(100, [one], 1.0, 5.0), 0)


def test_a_hot_product_takes_nine_of_ten_events_about_a_product() -> None:
    found = products_of(Shape(100, HOT_SHARE))

    assert found["p-00000"] / found.total() == pytest.approx(0.9, abs=0.03)
    assert len(found) > 50


def test_events_are_about_as_many_products_as_there_are() -> None:
    assert len(products_of(Shape(10))) == 10
    assert len(products_of(Shape(100_000))) > 300


def test_the_points_of_a_curve_differ_in_one_thing() -> None:
    points = list_points(
        ["stored", "products", "hot", "workers"],
        stored=[50, 10],
        products=[7],
        workers=[4, 1],
        usual_workers=2,
    )

    assert [name_point(point) for point in points] == [
        "10 stored", "50 stored", "7 products", "hot: 0%", "hot: 90%", "1 workers", "4 workers",
    ]  # fmt: skip
    assert [point.stored for point in points] == [10, 50, 10, 10, 10, 10, 10]
    assert [point.workers for point in points] == [2, 2, 2, 2, 2, 1, 4]


def test_a_decline_is_held_against_the_fewest_stored_events() -> None:
    ends = [measured(10, ingest_s=1.0, cpu_s=2.0), measured(50, ingest_s=1.25, cpu_s=2.6)]

    rate, cpu = check_decline(ends)

    assert [rate.value, cpu.value] == pytest.approx([0.2, 0.3])
    assert [rate.is_kept, cpu.is_kept] == [True, False]
    assert check_decline(ends[:1]) == []


def test_a_point_measured_twice_has_the_rounds_of_both_times() -> None:
    both = join([measured(10, ingest_s=second, cpu_s=1.0) for second in (1.0, 3.0)])

    assert len(both.result.rounds) == 2
    assert (both.point.stored, both.result.p99_ms) == (10, 5.0)


@pytest.mark.parametrize("sizes", ["", "ten", "10,", "-1", "10,999999999999"])
def test_sizes_that_are_no_numbers_within_bounds_are_refused(sizes: str) -> None:
    result = CliRunner().invoke(curves, ["--stored", sizes])

    assert result.exit_code == 2
    assert "must be numbers from 0 to 100,000,000" in result.output
