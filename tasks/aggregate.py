"""Aggregate days: replace everything that is counted of them by a recount."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fail_points import fail_point
from models.daily_aggregates import (
    DailyAggregate,
    count_types_sql,
    day_bounds,
    events_of_days_sql,
    replace_daily_totals,
)
from models.daily_excluded import DailyExcluded, count_excluded_sql
from models.daily_product_metrics import DailyProductMetrics, count_products_by_day_sql
from models.daily_recommendations import DailyRecommendations, count_shown_sql
from models.daily_sessions import DailySessions, count_sessions_of_days_sql
from models.daily_values import DailyValue, count_values_of_days_sql, property_parameters
from models.database import transaction
from models.days import replace_days
from models.dirty_days import read_dirty_days, take_marks
from models.hourly_aggregates import HourlyAggregate, count_hours_sql
from models.identities import mark_relinked_days
from models.job_runs import lock_job
from models.recommendation_credit import replace_credit
from models.span_events import SPAN_EVENTS, gathered_events
from models.traffic import ALL
from models.weekly_product_metrics import forget_weeks, read_missing_weeks, sum_week

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
    """Aggregate some days, each run of neighbours in a transaction of its own.

    Then the weeks that have ended, and are not summed or not any more, are summed.
    """
    wanted = sorted(set(days))
    done = events = 0
    for first, last in spans(wanted, SPAN_DAYS):
        with transaction(engine) as session:
            events += aggregate_span(
                session, first, last, zone=zone, now=now, properties=properties
            )
            fail_point("aggregate.day")
        done += (last - first).days + 1
        if progress is not None:
            progress(done, len(wanted))
    sum_weeks(engine, today=now.astimezone(ZoneInfo(zone)).date())
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

    What recommendations of the days around them have earned is counted again too. The marks are
    taken before the events are read: events stored in between leave marks of their own. Sealed
    days are left as they are.
    """
    lock_aggregates(session)
    take_marks(session, [first + timedelta(days=n) for n in range((last - first).days + 1)])
    counted = {
        DailyAggregate: count_types_sql(SPAN_EVENTS),
        DailyProductMetrics: count_products_by_day_sql(SPAN_EVENTS),
        HourlyAggregate: count_hours_sql(SPAN_EVENTS),
        DailyValue: count_values_of_days_sql(SPAN_EVENTS, properties),
        DailySessions: count_sessions_of_days_sql(SPAN_EVENTS),
        DailyRecommendations: count_shown_sql(SPAN_EVENTS),
    }
    parameters = {
        **property_parameters(properties),
        "first": first,
        "last": last,
        "zone": zone,
        "now": now,
    }
    forget_weeks(session, first, last)
    replace_days(
        session,
        DailyExcluded,
        count_excluded_sql(events_of_days_sql(traffic=ALL)),
        day_bounds(first, last, zone=zone),
    )
    with gathered_events(session, first, last, zone=zone, properties=properties):
        for table, rows in counted.items():
            replace_days(session, table, rows, parameters)
        events = replace_daily_totals(session, SPAN_EVENTS, parameters)
    replace_credit(session, first, last, zone=zone)
    return events


def sum_weeks(engine: Engine, *, today: date) -> None:
    """Sum the weeks before today's that are missing, each in a transaction of its own."""
    with transaction(engine) as session:
        weeks = read_missing_weeks(session, today=today)
    for week in weeks:
        with transaction(engine) as session:
            lock_job(session, "aggregate", wait=True)
            sum_week(session, week)


def lock_aggregates(session: Session) -> None:
    """Aggregate one at a time, until the transaction ends: two would insert the same rows."""
    lock_job(session, "aggregate", wait=True)


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
