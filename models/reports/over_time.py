"""Events over time: how many in each hour or day, by type or source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_aggregates import count_types_sql
from models.hourly_aggregates import count_hours_sql
from models.reports.days import Days, read_days
from models.traffic import COUNTED, Traffic

Interval = Literal["hour", "day"]
GroupBy = Literal["event_type", "source", "none"]

#: Series of their own; what has fewer events is summed in one more.
MAX_SERIES = 20

# Where clocks change by half an hour, an hour of the clock is not always an hour long.
_HOURS = """
SELECT DISTINCT date_trunc('hour', moment, :zone) AS start FROM generate_series(
    CAST(:first AS date)::timestamp AT TIME ZONE :zone,
    (CAST(:last AS date) + 1)::timestamp AT TIME ZONE :zone - interval '1 microsecond',
    interval '15 minutes') AS moment ORDER BY 1"""
_DAYS = """
SELECT day::date::timestamp AT TIME ZONE :zone AS start
FROM generate_series(CAST(:first AS date), CAST(:last AS date), interval '1 day') AS day
ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class Series:
    """The events of one group in each bucket; `name` is None for the groups not listed."""

    name: str | None
    events: list[int]


@dataclass(frozen=True, slots=True)
class OverTime:
    """Buckets, named by their first moment, and the events in each."""

    days: Days
    starts: list[datetime]
    events: list[int]
    series: list[Series]


def read_over_time(
    session: Session,
    first: date,
    last: date,
    *,
    zone: str,
    interval: Interval,
    group_by: GroupBy = "none",
    event_type: str | None = None,
    source: str | None = None,
    traffic: Traffic = COUNTED,
) -> OverTime:
    """Count the events of each hour or day from first to last; the empty source means none."""
    if interval == "hour":
        days = read_days(session, first, last, zone=zone, traffic=traffic)
        rows = days.rows_sql(
            "hourly_aggregates", "hour AS start, event_type, source, events", count_hours_sql
        )
    else:
        days = read_days(session, first, last, zone=zone, counted="true", traffic=traffic)
        rows = days.rows_sql(
            "daily_aggregates",
            "day::timestamp AT TIME ZONE :zone AS start, event_type, source, events",
            count_types_sql,
        )
    group = "CAST(NULL AS text)" if group_by == "none" else group_by
    parameters = days.parameters(event_type=event_type, source=source)
    starts = session.scalars(text(_HOURS if interval == "hour" else _DAYS), parameters).all()
    # A row of the answer holds a whole series: thousands of rows take longer to read than to count.
    found = session.execute(
        text(
            f"""
SELECT name, array_agg(place) AS places, array_agg(events) AS events FROM (
    SELECT start, {group} AS name, sum(events)::bigint AS events FROM {rows}
    WHERE (CAST(:event_type AS text) IS NULL OR event_type = :event_type)
        AND (CAST(:source AS text) IS NULL OR source = :source) GROUP BY 1, 2
) AS counted
JOIN unnest(CAST(:starts AS timestamptz[])) WITH ORDINALITY AS bucket(start, place) USING (start)
GROUP BY name"""
        ),
        {**parameters, "starts": list(starts)},
    )
    total = [0] * len(starts)
    groups: dict[str, list[int]] = {}
    for name, places, counts in found:
        events = [0] * len(starts)
        for place, count in zip(places, counts, strict=True):
            events[place - 1] = count
            total[place - 1] += count
        if name is not None:
            groups[name] = events
    return OverTime(days, list(starts), total, _series(groups))


def _series(groups: dict[str, list[int]]) -> list[Series]:
    """List the largest groups in the order of their size, and the sum of the others last."""
    ranked = sorted(groups.items(), key=lambda group: (-sum(group[1]), group[0]))
    series = [Series(name, events) for name, events in ranked[:MAX_SERIES]]
    others = [events for _, events in ranked[MAX_SERIES:]]
    if others:
        series.append(Series(None, [sum(bucket) for bucket in zip(*others, strict=True)]))
    return series
