"""Aggregate days: replace their totals, types and product counters by a recount."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.daily_aggregates import replace_daily_aggregates
from models.daily_product_metrics import replace_daily_product_metrics
from models.database import transaction
from models.dirty_days import read_dirty_days, take_marks
from models.job_runs import lock_job

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
    progress: Callable[[int, int], None] | None = None,
) -> Aggregated:
    """Aggregate every day that has events its aggregates do not know; `progress(done, all)`."""
    with transaction(engine) as session:
        days = read_dirty_days(session)
    return aggregate_days(engine, days, zone=zone, now=now, progress=progress)


def aggregate_days(
    engine: Engine,
    days: Iterable[date],
    *,
    zone: str,
    now: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> Aggregated:
    """Aggregate some days, each run of neighbours in a transaction of its own."""
    wanted = sorted(set(days))
    done = events = 0
    for first, last in spans(wanted, SPAN_DAYS):
        with transaction(engine) as session:
            events += aggregate_span(session, first, last, zone=zone, now=now)
        done += (last - first).days + 1
        if progress is not None:
            progress(done, len(wanted))
    return Aggregated(days=done, events=events)


def aggregate_span(session: Session, first: date, last: date, *, zone: str, now: datetime) -> int:
    """Replace the aggregates of the days first to last, in the open transaction; give the events.

    The marks are taken before the events are counted: events stored in between leave marks of
    their own. Sealed days are left as they are.
    """
    # One at a time: two aggregations of one day would both insert its rows.
    lock_job(session, "aggregate", wait=True)
    take_marks(session, [first + timedelta(days=n) for n in range((last - first).days + 1)])
    replace_daily_product_metrics(session, first, last, zone=zone)
    return replace_daily_aggregates(session, first, last, zone=zone, now=now)


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
