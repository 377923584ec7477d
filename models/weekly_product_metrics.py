"""Weekly product metrics: a week's daily rows in one row a product, for long ranges.

They are made of daily rows alone. Whoever replaces a day forgets its week in the same transaction,
so what is there is the sum of its days; what is not there is read from the days themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.product_metrics import COUNTERS, CounterColumns

_WEEK = "day - CAST(extract(isodow FROM day) AS int) + 1"
_NAMES = ", ".join(COUNTERS)
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in COUNTERS)


class WeeklyProductMetrics(CounterColumns, Base):
    """Count one product's events of the seven days that begin with a Monday."""

    __tablename__ = "weekly_product_metrics"
    __table_args__ = (Index("ix_weekly_product_metrics_product", "product_id", "week"),)

    week: Mapped[date] = mapped_column(primary_key=True)
    product_id: Mapped[str] = mapped_column(primary_key=True)


def week_of(day: date) -> date:
    """Give the Monday that a day's week begins with."""
    return day - timedelta(days=day.weekday())


def days_sql(columns: str) -> str:
    """Write the SELECT of the rows of some days, whole weeks in one row where they have one.

    The columns are counters and product_id; the days are those of `days_parameters`. Everything is
    looked up in this one statement: a week may be forgotten between two.
    """
    # With an order, the first row of a week is looked up; without, PostgreSQL would search for it.
    return f"""
SELECT {columns} FROM weekly_product_metrics WHERE week = ANY(CAST(:whole_weeks AS date[]))
UNION ALL
SELECT {columns} FROM daily_product_metrics WHERE day = ANY(ARRAY(
    SELECT day FROM unnest(CAST(:kept_days AS date[])) AS day
    WHERE NOT {_WEEK} = ANY(ARRAY(
        SELECT week FROM unnest(CAST(:whole_weeks AS date[])) AS whole(week)
        CROSS JOIN LATERAL (
            SELECT FROM weekly_product_metrics AS summed WHERE summed.week = whole.week
            ORDER BY product_id LIMIT 1
        ) AS found))))"""


def days_parameters(first: date, last: date, *, without: Collection[date]) -> dict[str, Any]:
    """Give the parameters of `days_sql` for the days first to last, some of them left out."""
    kept = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    kept = [day for day in kept if day not in without]
    lengths: dict[date, int] = {}
    for day in kept:
        lengths[week_of(day)] = lengths.get(week_of(day), 0) + 1
    whole = [week for week, length in lengths.items() if length == 7]
    return {"kept_days": kept, "whole_weeks": whole}


def forget_weeks(session: Session, first: date, last: date) -> None:
    """Delete the weeks of the days first to last, whose daily rows are about to change."""
    session.execute(
        text("DELETE FROM weekly_product_metrics WHERE week BETWEEN :week AND :last"),
        {"week": week_of(first), "last": last},
    )


def read_missing_weeks(session: Session, *, today: date) -> list[date]:
    """List the weeks before today's that have no row though their days do.

    A week that waits for aggregation is left for later: it would be forgotten again.
    """
    return list(
        session.scalars(
            text(
                f"""
SELECT week FROM (SELECT DISTINCT {_WEEK} AS week FROM daily_totals WHERE events > 0) AS known
WHERE week < :this_week
    AND NOT EXISTS (SELECT FROM weekly_product_metrics AS w WHERE w.week = known.week)
    AND EXISTS (SELECT FROM daily_product_metrics WHERE day BETWEEN week AND week + 6)
    AND NOT EXISTS (SELECT FROM dirty_days WHERE day BETWEEN week AND week + 6)
ORDER BY week"""
            ),
            {"this_week": week_of(today)},
        )
    )


def sum_week(session: Session, week: date) -> None:
    """Make a week's rows, in the open transaction. No day of it may be replaced meanwhile."""
    forget_weeks(session, week, week)
    session.execute(
        text(
            f"INSERT INTO weekly_product_metrics (week, product_id, {_NAMES}) "
            f"SELECT :week, product_id, {_SUMS} FROM daily_product_metrics "
            "WHERE day BETWEEN :week AND CAST(:week AS date) + 6 "
            "GROUP BY product_id ORDER BY product_id"
        ),
        {"week": week},
    )


def compare_weeks(session: Session) -> tuple[int, int]:
    """Sum the days of the weeks that are there again; give the rows compared and wrong."""
    kept = ", ".join(f"kept.{name}" for name in COUNTERS)
    summed = ", ".join(f"summed.{name}" for name in COUNTERS)
    row = session.execute(
        text(
            f"""
SELECT count(*), count(*) FILTER (WHERE ({kept}) IS DISTINCT FROM ({summed}))
FROM weekly_product_metrics AS kept FULL JOIN (
    SELECT week, product_id, {_SUMS}
    FROM (SELECT {_WEEK} AS week, * FROM daily_product_metrics) AS daily
    WHERE week IN (SELECT week FROM weekly_product_metrics) GROUP BY 1, 2
) AS summed USING (week, product_id)"""
        )
    ).one()
    return int(row[0]), int(row[1])
