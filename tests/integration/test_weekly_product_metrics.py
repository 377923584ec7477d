"""Weeks of product metrics: always the sum of their days, and never in the way of a late event."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from models.aggregate_recount import compare_aggregates
from models.database import transaction
from models.metrics_report import list_product_metrics, source_of_days
from models.reports.products import read_popular
from models.weekly_product_metrics import WeeklyProductMetrics
from tasks.aggregate import aggregate_days, aggregate_dirty, sum_weeks
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, empty, store_events, uuid7_at

# NOW is a Sunday: its week has begun on the 9th.
LAST_WEEK, THIS_WEEK = date(2026, 3, 2), date(2026, 3, 9)


def view(engine: Engine, *views: tuple[str, int], first: int = 0) -> None:
    """Store a view for each product and age in days."""
    store_events(
        engine,
        *(
            {
                "event_type": "product_view",
                "product_id": product_id,
                "event_id": uuid7_at(NOW_MS - age * DAY_MS, first + n),
                "occurred_at": NOW_MS - age * DAY_MS,
            }
            for n, (product_id, age) in enumerate(views)
        ),
    )


def weeks(engine: Engine) -> list[tuple[date, str, int]]:
    with transaction(engine) as session:
        table = WeeklyProductMetrics
        rows = session.execute(
            select(table.week, table.product_id, table.total_views).order_by("week", "product_id")
        )
        return [(week, product_id, views) for week, product_id, views in rows]


def popular(session: Session, first: date, last: date) -> dict[str, int]:
    found = read_popular(session, first, last, zone="UTC", sort="views", limit=100)
    return {row.product_id: row.views for row in found.products}


def listed(session: Session, first: date, last: date) -> dict[str, int]:
    source = source_of_days(session, first, last, zone="UTC")
    rows = list_product_metrics(
        session, source, sort="views", descending=True, prior=0.0, after=None, limit=100
    )
    return {row.product_id: row.total_views for row in rows}


def test_a_week_is_summed_when_it_has_ended(engine: Engine) -> None:
    view(engine, ("p", 13), ("p", 8), ("q", 7), ("p", 6), ("p", 0))

    aggregate_dirty(engine, zone="UTC", now=NOW)

    assert weeks(engine) == [(LAST_WEEK, "p", 2), (LAST_WEEK, "q", 1)]
    aggregate_dirty(engine, zone="UTC", now=NOW + timedelta(days=1))
    assert weeks(engine)[2:] == [(THIS_WEEK, "p", 2)]


def test_a_day_that_is_counted_again_takes_its_week_with_it(engine: Engine) -> None:
    view(engine, ("p", 13), ("p", 8))
    aggregate_dirty(engine, zone="UTC", now=NOW)
    view(engine, ("p", 10), first=100)

    aggregate_dirty(engine, zone="UTC", now=NOW)

    assert weeks(engine) == [(LAST_WEEK, "p", 3)]


def test_a_week_that_waits_for_aggregation_is_not_summed(engine: Engine) -> None:
    view(engine, ("p", 13), ("p", 8))

    aggregate_days(engine, [LAST_WEEK], zone="UTC", now=NOW)

    assert weeks(engine) == []


def test_a_missing_week_is_made_once(engine: Engine) -> None:
    view(engine, ("p", 13), ("p", 8))
    aggregate_dirty(engine, zone="UTC", now=NOW)
    with transaction(engine) as session:
        session.execute(text("DELETE FROM weekly_product_metrics"))

    sum_weeks(engine, today=TODAY)
    sum_weeks(engine, today=TODAY)

    assert weeks(engine) == [(LAST_WEEK, "p", 2)]


def test_the_check_tells_a_week_that_is_not_the_sum_of_its_days(engine: Engine) -> None:
    view(engine, ("p", 13), ("q", 12))
    aggregate_dirty(engine, zone="UTC", now=NOW)
    with transaction(engine) as session:
        session.execute(text("DELETE FROM weekly_product_metrics WHERE product_id = 'q'"))
        session.execute(text("UPDATE weekly_product_metrics SET total_revenue = 1"))

    with transaction(engine) as session:
        _, wrong = compare_aggregates(session, zone="UTC")

    assert wrong == 2


_views = st.lists(st.tuples(st.sampled_from("pqr"), st.integers(0, 30)), max_size=12)


@hypothesis_settings(max_examples=30)
@given(early=_views, late=_views, first_age=st.integers(0, 30), length=st.integers(1, 31))
def test_any_range_has_the_views_of_its_days_before_and_after_late_events_are_counted(
    engine: Engine,
    early: list[tuple[str, int]],
    late: list[tuple[str, int]],
    first_age: int,
    length: int,
) -> None:
    empty(engine)
    first = TODAY - timedelta(days=first_age)
    last = first + timedelta(days=length - 1)
    if early:
        view(engine, *early)
    aggregate_dirty(engine, zone="UTC", now=NOW)
    if late:
        view(engine, *late, first=100)
    expected = Counter(
        product_id
        for product_id, age in [*early, *late]
        if first <= TODAY - timedelta(days=age) <= last
    )

    with transaction(engine) as session:
        assert popular(session, first, last) == listed(session, first, last) == expected
    aggregate_dirty(engine, zone="UTC", now=NOW)
    with transaction(engine) as session:
        assert popular(session, first, last) == listed(session, first, last) == expected
        assert compare_aggregates(session, zone="UTC")[1] == 0
