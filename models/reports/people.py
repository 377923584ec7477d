"""How many different people were active: exactly from events, or estimated from sketches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_aggregates import day_bounds, events_of_days_sql, read_sealed_through
from models.reports.days import Days, From, hurry, read_days
from models.sketches import Crowd, Estimate
from models.traffic import ALL, COUNTED, Traffic

Method = Literal["auto", "exact", "sketch"]

#: Days of each period, which all end with the same day.
PERIODS = {"day": 1, "week": 7, "month": 30}
#: The aggregates of a day hold its sketches, or it had no people to sketch.
SKETCHED = (
    "(unique_users = 0 OR users_sketch IS NOT NULL) "
    "AND (unique_anonymous = 0 OR anonymous_sketch IS NOT NULL)"
)


@dataclass(frozen=True, slots=True)
class People:
    """Different people of a period: users, and anonymous ids without a user.

    `users` and `anonymous` have equal bounds when they were counted. What was purged before it
    was sketched is not `complete`.
    """

    users: Estimate
    anonymous: Estimate
    estimate: bool
    complete: bool
    source: From

    @property
    def total(self) -> Estimate:
        """Give both together: a person is in one of them."""
        both = (self.users, self.anonymous)
        return Estimate(
            sum(part.value for part in both),
            sum(part.low for part in both),
            sum(part.high for part in both),
        )


def read_active(
    session: Session, day: date, *, zone: str, method: Method, traffic: Traffic = COUNTED
) -> dict[str, People | None]:
    """Count the people of the day, week and month that end with a day.

    A day that is aggregated has an exact count in its total. Longer periods are counted from their
    events (`exact`), unless a part of these is purged, or estimated from the sketches of their days
    (`sketch`); `auto` counts where it can. None where events are wanted that are purged. Totals
    and sketches know counted traffic only: all traffic is counted from events.
    """
    periods = {name: day - timedelta(days=length - 1) for name, length in PERIODS.items()}
    found: dict[str, People | None] = {}
    if method != "sketch" or traffic == ALL:
        found |= _read_exact(session, periods, day, zone=zone, traffic=traffic)
    if method != "exact" and traffic == COUNTED:
        missing = {name: first for name, first in periods.items() if found.get(name) is None}
        found |= _read_sketched(session, missing, day, zone=zone)
    return {name: found.get(name) for name in periods}


def _read_exact(
    session: Session, periods: Mapping[str, date], last: date, *, zone: str, traffic: Traffic
) -> dict[str, People | None]:
    found: dict[str, People | None] = {}
    days = read_days(session, last, last, zone=zone, counted="true", traffic=traffic)
    if not days.recounted:
        found["day"] = _read_total(session, last)
    sealed = read_sealed_through(session)
    wanted = {
        name: first
        for name, first in periods.items()
        if name not in found and (sealed is None or first > sealed)
    }
    if wanted:
        found |= _count(session, wanted, last, zone=zone, traffic=traffic)
    return found


def _read_total(session: Session, day: date) -> People:
    row = session.execute(
        text("SELECT unique_users, unique_anonymous FROM daily_totals WHERE day = :day"),
        {"day": day},
    ).one_or_none()
    users, anonymous = row or (0, 0)
    return _exactly(users, anonymous, "aggregates")


def _count(
    session: Session, periods: Mapping[str, date], last: date, *, zone: str, traffic: Traffic
) -> dict[str, People | None]:
    """Count the people of all periods in one look at the events of the longest."""
    # Whoever came in a period came last in it: the periods end with the same day.
    counts = ", ".join(
        f"count({person}) FILTER (WHERE latest >= CAST(:{name} AS date)) AS {name}_{column}"
        for name in periods
        for person, column in (("known_user_id", "users"), ("unknown_id", "anonymous"))
    )
    hurry(session)
    # PostgreSQL takes each event for one of another person, and would sort them all: the people
    # alone fit into a hash table.
    session.execute(text("SET LOCAL enable_sort = off"))
    row = session.execute(
        text(
            f"SELECT {counts} FROM (SELECT known_user_id, unknown_id, max(day) AS latest "
            f"FROM {events_of_days_sql(traffic=traffic)} GROUP BY 1, 2) AS person"
        ),
        {**day_bounds(min(periods.values()), last, zone=zone), **periods},
    ).one()
    return {
        name: _exactly(row._mapping[f"{name}_users"], row._mapping[f"{name}_anonymous"], "events")
        for name in periods
    }


def _exactly(users: int, anonymous: int, source: From) -> People:
    return People(
        Estimate(users, users, users),
        Estimate(anonymous, anonymous, anonymous),
        estimate=False,
        complete=True,
        source=source,
    )


def _read_sketched(
    session: Session, periods: Mapping[str, date], last: date, *, zone: str
) -> dict[str, People | None]:
    if not periods:
        return {}
    first = min(periods.values())
    days = read_days(session, first, last, zone=zone, counted=SKETCHED)
    crowds = {name: (Crowd(), Crowd()) for name in periods}
    rows = session.execute(
        text(
            "SELECT day, users_sketch, anonymous_sketch FROM daily_totals "
            "WHERE day BETWEEN :first AND :last AND day <> ALL(CAST(:recounted AS date[]))"
        ),
        days.parameters(),
    )
    for day, *sketches in rows:
        for name, begin in periods.items():
            if day >= begin:
                for crowd, sketch in zip(crowds[name], sketches, strict=True):
                    crowd.merge(sketch)
    if days.recounted:
        _add_recounted(session, days, periods, crowds)
    return {name: _sketched(days, begin, crowds[name]) for name, begin in periods.items()}


def _add_recounted(
    session: Session,
    days: Days,
    periods: Mapping[str, date],
    crowds: Mapping[str, tuple[Crowd, Crowd]],
) -> None:
    """Add the people of the days whose sketches are not current, read in a stream."""
    people = session.execute(
        text(
            "SELECT known_user_id, unknown_id, max(day) AS latest "
            f"FROM {days.events_sql()} WHERE known_user_id IS NOT NULL OR unknown_id IS NOT NULL "
            "GROUP BY 1, 2"
        ),
        days.parameters(),
        execution_options={"yield_per": 10_000},
    )
    for user_id, unknown_id, latest in people:
        for name, begin in periods.items():
            if latest >= begin:
                users, anonymous = crowds[name]
                if user_id is not None:
                    users.add(user_id)
                else:
                    anonymous.add(unknown_id)


def _sketched(days: Days, begin: date, crowds: tuple[Crowd, Crowd]) -> People:
    users, anonymous = crowds
    recounted = tuple(day for day in days.recounted if day >= begin)
    return People(
        users.estimate(),
        anonymous.estimate(),
        estimate=True,
        complete=days.lost is None or days.lost < begin,
        source=replace(days, first=begin, recounted=recounted).source,
    )
