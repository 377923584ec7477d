"""Daily aggregates: events and people per day, replaced whole, never added to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import BigInteger, delete, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from event_ids import id_range_of
from models.base import Base


class DailyTotal(Base):
    """Count one day as a whole. A sealed day's events are purged and its aggregates final."""

    __tablename__ = "daily_totals"

    day: Mapped[date] = mapped_column(primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)
    unique_users: Mapped[int] = mapped_column(BigInteger)
    unique_anonymous: Mapped[int] = mapped_column(BigInteger)
    #: Sketches of the people behind the two counts, to be merged over days.
    users_sketch: Mapped[bytes | None]
    anonymous_sketch: Mapped[bytes | None]
    computed_at: Mapped[datetime]
    sealed_at: Mapped[datetime | None]


class DailyAggregate(Base):
    """Count one day's events of one type from one source. No source is the empty text."""

    __tablename__ = "daily_aggregates"

    day: Mapped[date] = mapped_column(primary_key=True)
    event_type: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)
    unique_users: Mapped[int] = mapped_column(BigInteger)
    unique_anonymous: Mapped[int] = mapped_column(BigInteger)


def events_of_days_sql() -> str:
    """Write the relation `(…) AS day_events` of the events from :first to :last.

    It has each event's columns and its `day` in :zone. The id bounds let PostgreSQL skip the
    partitions of other days; ids without a time are in the range below :undated.
    """
    return """(
    SELECT *, (occurred_at AT TIME ZONE :zone)::date AS day FROM events
    WHERE (event_id >= CAST(:low AS uuid) AND event_id < CAST(:high AS uuid)
           OR event_id < CAST(:undated AS uuid))
      AND occurred_at >= (CAST(:first AS date)::timestamp AT TIME ZONE :zone)
      AND occurred_at < ((CAST(:last AS date) + 1)::timestamp AT TIME ZONE :zone)
) AS day_events"""


def day_bounds(first: date, last: date, *, zone: str) -> dict[str, object]:
    """Give the parameters of `events_of_days_sql` for the days first to last."""
    low, high = id_range_of(first, last)
    return {
        "first": first,
        "last": last,
        "low": low,
        "high": high,
        "zone": zone,
        "undated": UNDATED_END,
    }


#: Ids without a time lie below this one, in a partition of their own.
UNDATED_END = "00000000-0001-0000-0000-000000000000"

_PEOPLE = (
    "count(*), count(DISTINCT user_id), count(DISTINCT anonymous_id) FILTER (WHERE user_id IS NULL)"
)


def count_days_sql(source: str) -> str:
    """Write the SELECT of (day, events, unique_users, unique_anonymous) of a relation."""
    return f"SELECT day, {_PEOPLE} FROM {source} GROUP BY day"


def count_types_sql(source: str) -> str:
    """Write the SELECT of (day, event_type, source, events, unique_users, unique_anonymous)."""
    return (
        f"SELECT day, event_type, coalesce(source, '') AS source, {_PEOPLE} "
        f"FROM {source} GROUP BY day, event_type, coalesce(source, '')"
    )


def replace_daily_aggregates(
    session: Session, first: date, last: date, *, zone: str, now: datetime
) -> int:
    """Replace the aggregates of the days first to last by a recount; give the events counted.

    Sealed days are left as they are. A day without events gets a total of zero.
    """
    unsealed = "day NOT IN (SELECT day FROM daily_totals WHERE sealed_at IS NOT NULL)"
    bounds = day_bounds(first, last, zone=zone)
    for table in (DailyAggregate, DailyTotal):
        session.execute(delete(table).where(table.day.between(first, last), text(unsealed)))
    session.execute(
        text(
            "INSERT INTO daily_aggregates "
            "(day, event_type, source, events, unique_users, unique_anonymous) "
            f"SELECT * FROM ({count_types_sql(events_of_days_sql())}) AS counted WHERE {unsealed}"
        ),
        bounds,
    )
    counted_days = count_days_sql(events_of_days_sql())
    counted = session.execute(
        text(
            "INSERT INTO daily_totals (day, events, unique_users, unique_anonymous, computed_at) "
            "SELECT day, coalesce(events, 0), coalesce(users, 0), coalesce(anonymous, 0), :now "
            "FROM (SELECT generate_series(CAST(:first AS date), CAST(:last AS date), "
            "interval '1 day')::date AS day) AS every "
            f"LEFT JOIN ({counted_days}) AS counted(day, events, users, anonymous) USING (day) "
            f"WHERE {unsealed} RETURNING events"
        ),
        {**bounds, "now": now},
    ).scalars()
    return sum(counted)


def read_sealed_through(session: Session) -> date | None:
    """Give the last sealed day; None when nothing was purged yet."""
    return session.scalar(select(func.max(DailyTotal.day)).where(DailyTotal.sealed_at.is_not(None)))


def seal_days(session: Session, days: Sequence[date], *, now: datetime) -> int:
    """Seal days: their aggregates are final from now on. Give how many were not sealed before."""
    if not days:
        return 0
    result = session.execute(
        text(
            "UPDATE daily_totals SET sealed_at = :now "
            "WHERE day = ANY(:days) AND sealed_at IS NULL RETURNING day"
        ),
        {"now": now, "days": list(days)},
    )
    return len(result.all())
