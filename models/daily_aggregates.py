"""Daily aggregates: events and people per day, replaced whole, never added to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from event_ids import id_range_of
from models.base import Base
from models.days import UNSEALED, replace_days
from models.sketches import Crowd
from models.traffic import COUNTED, Traffic, is_counted_sql


class DailyTotal(Base):
    """Count one day as a whole. A sealed day's events are purged and its aggregates final."""

    __tablename__ = "daily_totals"

    day: Mapped[date] = mapped_column(primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)
    unique_users: Mapped[int] = mapped_column(BigInteger)
    unique_anonymous: Mapped[int] = mapped_column(BigInteger)
    #: Sketches of the people behind the two counts, to be merged over days.
    users_sketch: Mapped[bytes | None] = mapped_column(deferred=True)
    anonymous_sketch: Mapped[bytes | None] = mapped_column(deferred=True)
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


def events_sql(
    condition: str,
    *,
    day: str = "(occurred_at AT TIME ZONE :zone)::date",
    traffic: Traffic = COUNTED,
) -> str:
    """Write the relation `(…) AS day_events` of the events of a traffic that meet a condition.

    It has each event's columns, its `day` in :zone, and who it is of: `known_user_id`, the event's
    user or else the one its anonymous id is linked to; without both `unknown_id`, that id. Where
    the condition leaves one day only, `day` may be given: it need not be grouped by then.
    """
    return f"""(
    SELECT events.*, {day} AS day,
        coalesce(events.user_id, identities.user_id) AS known_user_id,
        CASE WHEN events.user_id IS NULL AND identities.user_id IS NULL
            THEN events.anonymous_id END AS unknown_id
    FROM events LEFT JOIN identities
        ON events.user_id IS NULL AND identities.anonymous_id = events.anonymous_id
    WHERE ({condition}) AND {is_counted_sql(traffic)}) AS day_events"""


def of_days_sql(suffix: str = "") -> str:
    """Write the condition that an event is of the days of `day_bounds` with the same suffix.

    The id bounds let PostgreSQL skip the partitions of other days; ids without a time are in the
    range below :undated.
    """
    return f"""
        (event_id >= CAST(:low{suffix} AS uuid) AND event_id < CAST(:high{suffix} AS uuid)
         OR event_id < CAST(:undated AS uuid))
        AND occurred_at >= (CAST(:first{suffix} AS date)::timestamp AT TIME ZONE :zone)
        AND occurred_at < ((CAST(:last{suffix} AS date) + 1)::timestamp AT TIME ZONE :zone)"""


def events_of_days_sql(*, traffic: Traffic = COUNTED) -> str:
    """Write `events_sql` for the days of `day_bounds`."""
    return events_sql(of_days_sql(), traffic=traffic)


def day_bounds(first: date, last: date, *, zone: str, suffix: str = "") -> dict[str, Any]:
    """Give the parameters of `events_of_days_sql` for the days first to last."""
    low, high = id_range_of(first, last)
    return {
        f"first{suffix}": first,
        f"last{suffix}": last,
        f"low{suffix}": low,
        f"high{suffix}": high,
        "zone": zone,
        "undated": UNDATED_END,
    }


#: Ids without a time lie below this one, in a partition of their own.
UNDATED_END = "00000000-0001-0000-0000-000000000000"

# A person has one row a group inside, so that nothing is sorted outside: `count(DISTINCT …)` takes
# half as long again.
_PEOPLE = (
    "sum(events)::bigint AS events, count(known_user_id) AS unique_users, "
    "count(unknown_id) AS unique_anonymous"
)


def count_days_sql(source: str) -> str:
    """Write the SELECT of (day, events, unique_users, unique_anonymous) of a relation."""
    return f"""
SELECT day, {_PEOPLE}
FROM (SELECT day, known_user_id, unknown_id, count(*) AS events
      FROM {source} GROUP BY 1, 2, 3) AS person
GROUP BY day"""


def count_types_sql(source: str) -> str:
    """Write the SELECT of (day, event_type, source, events, unique_users, unique_anonymous)."""
    return f"""
SELECT day, event_type, source, {_PEOPLE}
FROM (SELECT day, event_type, coalesce(source, '') AS source, known_user_id, unknown_id,
          count(*) AS events
      FROM {source} GROUP BY 1, 2, 3, 4, 5) AS person
GROUP BY day, event_type, source"""


def replace_daily_totals(session: Session, source: str, parameters: dict[str, Any]) -> int:
    """Replace the totals of the days :first to :last; give the events counted.

    The days' rows in daily_aggregates stand already: their events are those of the day. Sealed
    days are left as they are. A day without events gets a total of zero.
    """
    users, anonymous = _meet_people(session, source)
    days = sorted(users.keys() | anonymous.keys())
    nobody = Crowd()
    met = {
        "days": days,
        "users": [users.get(day, nobody).count for day in days],
        "anonymous": [anonymous.get(day, nobody).count for day in days],
        "users_sketches": [users.get(day, nobody).as_bytes() for day in days],
        "anonymous_sketches": [anonymous.get(day, nobody).as_bytes() for day in days],
    }
    totals = """
SELECT day, coalesce(events, 0) AS events, coalesce(users, 0) AS unique_users,
    coalesce(anonymous, 0) AS unique_anonymous, users_sketch, anonymous_sketch,
    CAST(:now AS timestamptz) AS computed_at, CAST(NULL AS timestamptz) AS sealed_at
FROM (SELECT generate_series(CAST(:first AS date), CAST(:last AS date), interval '1 day')::date
      AS day) AS every
LEFT JOIN (SELECT day, sum(events)::bigint AS events FROM daily_aggregates
    WHERE day BETWEEN :first AND :last GROUP BY day) AS counted USING (day)
LEFT JOIN unnest(
    CAST(:days AS date[]), CAST(:users AS bigint[]), CAST(:anonymous AS bigint[]),
    CAST(:users_sketches AS bytea[]), CAST(:anonymous_sketches AS bytea[])
) AS met(day, users, anonymous, users_sketch, anonymous_sketch) USING (day)"""
    replace_days(session, DailyTotal, totals, {**parameters, **met})
    counted = session.scalar(
        text(
            "SELECT sum(events) FROM daily_totals "
            f"WHERE day BETWEEN :first AND :last AND {UNSEALED}"
        ),
        parameters,
    )
    return int(counted or 0)


def _meet_people(session: Session, source: str) -> tuple[dict[date, Crowd], dict[date, Crowd]]:
    """Count and sketch each day's users and anonymous ids, read in a stream: none are held."""
    people = session.execute(
        text(
            f"SELECT DISTINCT day, known_user_id, unknown_id FROM {source} "
            "WHERE known_user_id IS NOT NULL OR unknown_id IS NOT NULL"
        ),
        execution_options={"yield_per": 10_000},
    )
    users: dict[date, Crowd] = defaultdict(Crowd)
    anonymous: dict[date, Crowd] = defaultdict(Crowd)
    for day, user_id, unknown_id in people:
        if user_id is not None:
            users[day].add(user_id)
        else:
            anonymous[day].add(unknown_id)
    return users, anonymous


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
