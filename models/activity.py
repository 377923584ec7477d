"""Activity: what people did in a span of time, at which hours, how long it took and how apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_aggregates import UNDATED_END
from models.event_list import EventFilter
from models.reports.days import hurry

#: A longer pause ends a session.
SESSION_GAP_S = 1800
#: Actions whose durations are given: those that were done most.
MAX_ACTIONS = 200
#: Events whose gaps are measured; of everybody's activity with more, only some people's are.
GAP_EVENTS = 200_000


@dataclass(frozen=True, slots=True)
class Gaps:
    """The seconds between two events of a session, of a share of all people."""

    gaps: int
    median_s: float | None
    p90_s: float | None
    people_share: float


@dataclass(slots=True)
class Activity:
    """The figures of a span."""

    total: int = 0
    by_category: Counter[str] = field(default_factory=Counter)
    by_type: Counter[str] = field(default_factory=Counter)
    by_action: Counter[str] = field(default_factory=Counter)
    by_day: Counter[date] = field(default_factory=Counter)
    by_hour: Counter[int] = field(default_factory=Counter)
    durations: Sequence[Any] = ()
    gaps: Gaps | None = None


#: The bits by which GROUPING says which of the columns a row does not count by.
_BITS = {0b01111: "by_category", 0b10111: "by_type", 0b11011: "by_action", 0b11101: "by_day"}
_HOUR, _ALL = 0b11110, 0b11111


def read_activity(
    session: Session,
    wanted: EventFilter,
    *,
    zone: str,
    today: date,
    gap_events: int = GAP_EVENTS,
) -> Activity:
    """Read the figures of the events that are wanted. Days and hours are those of `zone`.

    Of more than `gap_events` of everybody, the gaps of one in so many people are measured that
    about as many events are left: each of them is measured whole.
    """
    source, bounds = _events_sql(wanted, today=today)
    hurry(session)
    activity = Activity()
    rows = session.execute(
        text(
            f"""
SELECT GROUPING(event_category, event_type, event_action, hour::date, extract(hour FROM hour))
    AS bits, event_category, event_type, event_action, hour::date AS day,
    extract(hour FROM hour)::int AS hour, coalesce(sum(events), 0)::bigint AS events
FROM (
    SELECT event_category, event_type, event_action,
        date_trunc('hour', occurred_at AT TIME ZONE :zone) AS hour, count(*) AS events
    FROM events WHERE {source} GROUP BY 1, 2, 3, 4
) AS counted
GROUP BY GROUPING SETS
    ((event_category), (event_type), (event_action), (hour::date), (extract(hour FROM hour)), ())"""
        ),
        {**bounds, "zone": zone},
    )
    for row in rows:
        if row.bits == _ALL:
            activity.total = row.events
        elif row.bits == _HOUR:
            activity.by_hour[row.hour] = row.events
        else:
            name = _BITS[row.bits]
            getattr(activity, name)[getattr(row, _KEYS[name])] = row.events
    activity.durations = _read_durations(session, source, bounds)
    one_in = 1 if wanted.user_id is not None else max(1, -(-activity.total // gap_events))
    activity.gaps = _read_gaps(session, source, bounds, one_in=one_in)
    return activity


_KEYS = {
    "by_category": "event_category",
    "by_type": "event_type",
    "by_action": "event_action",
    "by_day": "day",
}


def _events_sql(wanted: EventFilter, *, today: date) -> tuple[str, dict[str, Any]]:
    condition, parameters = wanted.to_sql()
    low, high = wanted.id_bounds(today=today)
    bounds = (
        "(event_id >= CAST(:low AS uuid) AND event_id < CAST(:high AS uuid) "
        "OR event_id < CAST(:undated AS uuid))"
    )
    return f"{condition} AND {bounds}", {
        **parameters,
        "low": low,
        "high": high,
        "undated": UNDATED_END,
    }


def _read_durations(session: Session, source: str, bounds: dict[str, Any]) -> Sequence[Any]:
    return session.execute(
        text(
            f"""
SELECT event_action AS action, events, quantiles[1] AS p50_ms, quantiles[2] AS p90_ms, mean_ms
FROM (
    SELECT event_action, count(*) AS events, avg(duration_ms)::float8 AS mean_ms,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY duration_ms) AS quantiles
    FROM events WHERE {source} AND duration_ms IS NOT NULL GROUP BY event_action
) AS action ORDER BY events DESC, event_action LIMIT :actions"""
        ),
        {**bounds, "actions": MAX_ACTIONS},
    ).all()


def _read_gaps(session: Session, source: str, bounds: dict[str, Any], *, one_in: int) -> Gaps:
    """Measure the seconds from one event of a person to the next one of the same session.

    A person is a user, or an anonymous id without one. What comes after a longer pause, or under
    another session id, belongs to another session. Person and session become one number: it sorts
    faster than texts.
    """
    person = "coalesce(user_id, anonymous_id, session_id)"
    chosen = "" if one_in == 1 else f"AND hashtextextended({person}, 0) % :one_in = 0"
    row = session.execute(
        text(
            f"""
SELECT gaps, quantiles[1] AS median_s, quantiles[2] AS p90_s FROM (
    SELECT count(*) AS gaps,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY gap_s) AS quantiles
    FROM (
        SELECT extract(epoch FROM occurred_at - lag(occurred_at) OVER (
            PARTITION BY course ORDER BY occurred_at))::float8 AS gap_s
        FROM (
            SELECT occurred_at, hashtextextended(
                concat_ws(chr(1), user_id IS NULL, coalesce(user_id, anonymous_id), session_id),
                0) AS course
            FROM events WHERE {source} AND {person} IS NOT NULL {chosen}
        ) AS event
    ) AS step WHERE gap_s <= :pause_s
) AS gap"""
        ),
        {**bounds, "pause_s": SESSION_GAP_S, "one_in": one_in},
    ).one()
    return Gaps(row.gaps, row.median_s, row.p90_s, people_share=1 / one_in)
