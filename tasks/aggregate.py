"""Aggregate days: replace everything that is counted of them by a recount."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.daily_aggregates import DailyAggregate, count_types_sql, replace_daily_totals
from models.daily_product_metrics import DailyProductMetrics, count_products_by_day_sql
from models.daily_recommendations import DailyRecommendations, count_recommendations_sql
from models.daily_sessions import DailySessions, count_sessions_of_days_sql
from models.daily_values import DailyValue, count_values_of_days_sql, property_parameters
from models.database import transaction
from models.days import replace_days
from models.dirty_days import read_dirty_days, take_marks
from models.hourly_aggregates import HourlyAggregate, count_hours_sql
from models.identities import mark_relinked_days
from models.job_runs import lock_job
from models.span_events import SPAN_EVENTS, gathered_events

#: Days of one transaction: enough to share the cost of a statement, few enough to stop between.
SPAN_DAYS = 14


@dataclass(frozen=True, slots=True)
class Aggregated:
    """Count what an aggregation did."""

    days: int
    events: int


def aggregate_dirty(
    engine: Engine,
    *,
    zone: str,
    now: datetime,
    properties: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Aggregated:
    """Aggregate every day that has events or links its aggregates do not know.

    `properties` are those whose values are counted; `progress(done, all)` counts days.
    """
    with transaction(engine) as session:
        mark_relinked_days(session, zone=zone)
        days = read_dirty_days(session)
    return aggregate_days(
        engine, days, zone=zone, now=now, properties=properties, progress=progress
    )


def aggregate_days(
    engine: Engine,
    days: Iterable[date],
    *,
    zone: str,
    now: datetime,
    properties: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Aggregated:
    """Aggregate some days, each run of neighbours in a transaction of its own."""
    wanted = sorted(set(days))
    done = events = 0
    for first, last in spans(wanted, SPAN_DAYS):
        with transaction(engine) as session:
            events += aggregate_span(
                session, first, last, zone=zone, now=now, properties=properties
            )
        done += (last - first).days + 1
        if progress is not None:
            progress(done, len(wanted))
    return Aggregated(days=done, events=events)


def aggregate_span(
    session: Session,
    first: date,
    last: date,
    *,
    zone: str,
    now: datetime,
    properties: Sequence[str] = (),
) -> int:
    """Replace the aggregates of the days first to last, in the open transaction; give the events.

    The marks are taken before the events are read: events stored in between leave marks of their
    own. Sealed days are left as they are.
    """
    # One at a time: two aggregations of one day would both insert its rows.
    lock_job(session, "aggregate", wait=True)
    take_marks(session, [first + timedelta(days=n) for n in range((last - first).days + 1)])
    counted = {
        DailyAggregate: count_types_sql(SPAN_EVENTS),
        DailyProductMetrics: count_products_by_day_sql(SPAN_EVENTS),
        HourlyAggregate: count_hours_sql(SPAN_EVENTS),
        DailyValue: count_values_of_days_sql(SPAN_EVENTS, properties),
        DailySessions: count_sessions_of_days_sql(SPAN_EVENTS),
        DailyRecommendations: count_recommendations_sql(SPAN_EVENTS),
    }
    parameters = {
        **property_parameters(properties),
        "first": first,
        "last": last,
        "zone": zone,
        "now": now,
    }
    with gathered_events(session, first, last, zone=zone, properties=properties):
        for table, rows in counted.items():
            replace_days(session, table, rows, parameters)
        return replace_daily_totals(session, SPAN_EVENTS, parameters)


def spans(days: list[date], longest: int) -> Iterator[tuple[date, date]]:
    """Join neighbouring days of a sorted list into spans of up to `longest` days."""
    start = end = None
    for day in days:
        if start is not None and end is not None:
            if day - end == timedelta(days=1) and (day - start).days < longest:
                end = day
                continue
            yield start, end
        start = end = day
    if start is not None and end is not None:
        yield start, end
