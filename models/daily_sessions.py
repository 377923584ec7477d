"""Daily sessions: visits of a day, by the 30-minute rule."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

#: Who does nothing for longer than this and comes back, begins another session.
SESSION_GAP = "interval '30 minutes'"


class DailySessions(Base):
    """Count one day's sessions. A session ends with its day. A bounce has one event."""

    __tablename__ = "daily_sessions"

    day: Mapped[date] = mapped_column(primary_key=True)
    sessions: Mapped[int] = mapped_column(BigInteger)
    bounces: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(BigInteger)
    duration_ms: Mapped[int] = mapped_column(BigInteger)


def count_sessions_sql(source: str) -> str:
    """Write the SELECT of (day, sessions, bounces, events, duration_ms) of a relation.

    A session goes on as long as the same person's next event comes within SESSION_GAP and has no
    other session id. Events of one moment are taken by session id: what happened to two sessions in
    the same second, or minute, is not a change from one to the other and back, time and again.
    Events of nobody do not count.

    Each event is compared with its neighbours, once sorted, and nothing is grouped by session: the
    durations of all sessions are the sum of the gaps inside of them, and a bounce is an event that
    both begins and ends one.
    """
    begins, ends = (
        f"coalesce(gap_{side} > {SESSION_GAP} OR other_{side}, gap_{side} IS NULL)"
        for side in ("before", "after")
    )
    return f"""
SELECT day, count(*) FILTER (WHERE {begins}) AS sessions,
    count(*) FILTER (WHERE {begins} AND {ends}) AS bounces, count(*) AS events,
    coalesce(round(1000 * extract(epoch FROM sum(gap_before) FILTER (WHERE NOT {begins}))), 0)
        ::bigint AS duration_ms
FROM (
    SELECT day,
        occurred_at - lag(occurred_at) OVER person AS gap_before,
        lead(occurred_at) OVER person - occurred_at AS gap_after,
        session_id <> lag(session_id) OVER person AS other_before,
        session_id <> lead(session_id) OVER person AS other_after
    FROM {source}
    WHERE known_user_id IS NOT NULL OR unknown_id IS NOT NULL
    WINDOW person AS (PARTITION BY {_PERSON}, day ORDER BY occurred_at, session_id, event_id)
) AS event
GROUP BY day"""


#: Numbers are sorted faster than texts. That two of a million people share one has a chance of
#: three in a hundred million.
_PERSON = "coalesce(hashtextextended(known_user_id, 0), hashtextextended(unknown_id, 1))"


def count_sessions_of_days_sql(source: str) -> str:
    """Write the SELECT of a daily table's rows: one for each day from :first to :last."""
    columns = ("sessions", "bounces", "events", "duration_ms")
    counts = ", ".join(f"coalesce({name}, 0) AS {name}" for name in columns)
    return f"""
SELECT day, {counts}
FROM (SELECT generate_series(CAST(:first AS date), CAST(:last AS date), interval '1 day')::date
      AS day) AS every
LEFT JOIN ({count_sessions_sql(source)}) AS counted USING (day)"""
