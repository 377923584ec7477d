"""The events of a span of days, gathered once for everything that is counted of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_aggregates import day_bounds, events_of_days_sql
from models.daily_values import COLUMNS

#: A temporary table with the columns of `events_of_days_sql` that are counted.
SPAN_EVENTS = "span_events"
#: Counting sorts and hashes a day's people; on disk it would take twice as long.
WORK_MEM = "64MB"
_COUNTED = (
    "event_id",
    "occurred_at",
    "day",
    "event_type",
    "source",
    "known_user_id",
    "unknown_id",
    "session_id",
    "product_id",
    "quantity",
    "value",
    "items",
    "properties",
)


@contextmanager
def gathered_events(
    session: Session, first: date, last: date, *, zone: str, properties: Sequence[str]
) -> Iterator[None]:
    """Hold the events that count of the days first to last in SPAN_EVENTS, within the transaction.

    `properties` are those whose values are counted; the columns among them are gathered too.
    """
    columns = (*_COUNTED, *sorted(COLUMNS.intersection(properties).difference(_COUNTED)))
    session.execute(text(f"SET LOCAL work_mem = '{WORK_MEM}'"))
    session.execute(
        text(
            f"CREATE TEMPORARY TABLE {SPAN_EVENTS} ON COMMIT DROP AS "
            f"SELECT {', '.join(columns)} FROM {events_of_days_sql()}"
        ),
        day_bounds(first, last, zone=zone),
    )
    yield
    session.execute(text(f"DROP TABLE {SPAN_EVENTS}"))
