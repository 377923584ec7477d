"""How well recommendations work: shown, clicked and purchased, by placement and position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_recommendations import count_recommendations_sql
from models.rates import Rate, proportion
from models.reports.days import Days, read_days
from models.traffic import COUNTED, Traffic

_COLUMNS = "placement, position, shown, clicked, purchased"
#: Rows of an answer; names of placements come from outside.
MAX_PLACES = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """The counts of one placement and position; None stands for all of them."""

    placement: str | None
    position: int | None
    shown: int
    clicked: int
    purchased: int

    @property
    def click_through_rate(self) -> Rate:
        """Give the clicks per product shown."""
        return proportion(self.clicked, self.shown, prior=0)

    @property
    def purchase_rate(self) -> Rate:
        """Give the purchases per product shown."""
        return proportion(self.purchased, self.shown, prior=0)


@dataclass(frozen=True, slots=True)
class Effectiveness:
    """All places of recommendations, and their sums."""

    days: Days
    total: Place
    placements: list[Place]
    positions: list[Place]
    places: list[Place]


def read_recommendations(
    session: Session, first: date, last: date, *, zone: str, traffic: Traffic = COUNTED
) -> Effectiveness:
    """Sum the days first to last, by placement, by position and by both."""
    days = read_days(session, first, last, zone=zone, traffic=traffic)
    rows = days.rows_sql("daily_recommendations", _COLUMNS, count_recommendations_sql)
    found = session.execute(
        text(
            "SELECT placement, position, sum(shown)::bigint AS shown, "
            "sum(clicked)::bigint AS clicked, sum(purchased)::bigint AS purchased, "
            "grouping(placement, position) AS level "
            f"FROM {rows} GROUP BY CUBE (placement, position) "
            "ORDER BY level, shown DESC, placement, position"
        ),
        days.parameters(),
    ).all()
    return Effectiveness(
        days,
        total=next(_places(found, 3), Place(None, None, 0, 0, 0)),
        placements=list(_places(found, 1))[:MAX_PLACES],
        positions=sorted(_places(found, 2), key=lambda place: place.position or 0),
        places=list(_places(found, 0))[:MAX_PLACES],
    )


def _places(rows: Iterable[Any], level: int) -> Iterator[Place]:
    for row in rows:
        if row.level == level:
            yield Place(
                row.placement,
                row.position,
                row.shown or 0,
                row.clicked or 0,
                row.purchased or 0,
            )
