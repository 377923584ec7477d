"""The most frequent values of a property or column."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_aggregates import count_types_sql
from models.daily_values import REST, count_values_sql, property_parameters
from models.reports.days import Days, read_days
from models.traffic import COUNTED, Traffic

#: Columns by which daily_aggregates is kept, so that they need not be configured.
AGGREGATED = frozenset({"event_type", "source"})
_CONFIGURED = f"""EXISTS (
    SELECT FROM daily_values WHERE daily_values.day = daily_totals.day
        AND property = :property AND value = '{REST}')"""


@dataclass(frozen=True, slots=True)
class Top:
    """Values with their events; `total` counts all events that have a value.

    `other` of them have a value that was not kept: a day keeps the most frequent ones.
    """

    days: Days
    values: list[tuple[str, int]]
    total: int
    other: int


def read_top(
    session: Session,
    name: str,
    first: date,
    last: date,
    *,
    zone: str,
    limit: int,
    traffic: Traffic = COUNTED,
) -> Top:
    """Rank the values of a property or column over the days first to last.

    It is counted a day when REPORT_PROPERTIES names it; the other days are counted from their
    events, while they have them.
    """
    if name in AGGREGATED:
        days = read_days(session, first, last, zone=zone, counted="true", traffic=traffic)
        rows = days.rows_sql("daily_aggregates", "day, event_type, source, events", count_types_sql)
        counted = f"SELECT {name} AS value, events FROM {rows} WHERE {name} <> ''"
    else:
        days = read_days(
            session, first, last, zone=zone, counted=_CONFIGURED, traffic=traffic, property=name
        )
        rows = days.rows_sql(
            "daily_values",
            "property, value, events",
            lambda source: count_values_sql(source, [name]),
        )
        counted = f"SELECT value, events FROM {rows} WHERE property = :property_0"
    found = session.execute(
        text(
            f"""
WITH summed AS MATERIALIZED (
    SELECT value, sum(events)::bigint AS events FROM ({counted}) AS counted GROUP BY value
), ranked AS (
    SELECT value, events FROM summed WHERE value <> '{REST}'
    ORDER BY events DESC, value LIMIT :limit
)
SELECT value, events, 1 AS place FROM ranked
UNION ALL SELECT NULL, coalesce(sum(events), 0)::bigint, 2 FROM summed
UNION ALL SELECT NULL, coalesce(sum(events), 0)::bigint, 3 FROM summed WHERE value = '{REST}'
ORDER BY place, events DESC, value"""
        ),
        days.parameters(limit=limit, **property_parameters([name])),
    ).all()
    *values, total, other = [(row.value, row.events) for row in found]
    return Top(days, values, total[1], other[1])
