"""How well recommendations work: what was shown, clicked and bought, by any of their sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_recommendations import PLACE, count_shown_sql
from models.rates import Rate, proportion
from models.recommendation_credit import COUNTS, hash_joins
from models.recommendation_lines import UNLISTED
from models.reports.credit_days import read_credit_days
from models.reports.days import Days, From, read_days
from models.traffic import COUNTED, Traffic

#: Rows of a grouping; names of placements come from outside.
MAX_PLACES = 1000
#: What every answer is grouped by, beside what is asked for.
_GROUPINGS = ((), *((side,) for side in PLACE), ("placement", "position"))
_FIGURES = ("lists", "shown", *COUNTS)


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What is told without the id of a list: a click that no list can be found for."""

    shown: int = 0
    clicked: int = 0
    purchased: int = 0
    revenue: Decimal = Decimal(0)

    @property
    def click_through_rate(self) -> Rate:
        """Give the clicks per product shown, whether they are of the same lists or not."""
        return proportion(self.clicked, self.shown, prior=0)


@dataclass(frozen=True, slots=True)
class Place:
    """The figures of one group of lists; a side that is None stands for all of its values.

    `lists` is None where a list may lie in several groups. What is `unlisted` is in none of the
    other figures, so that each rate is of the same lists above and below the line.
    """

    placement: str | None = None
    position: int | None = None
    rung: str | None = None
    model_version: int | None = None
    lists: int | None = 0
    shown: int = 0
    clicked: int = 0
    purchased: int = 0
    converted: int = 0
    revenue: Decimal = Decimal(0)
    unlisted: Unlisted = field(default_factory=Unlisted)

    @property
    def click_through_rate(self) -> Rate:
        """Give the products clicked per product shown."""
        return proportion(self.clicked, self.shown, prior=0)

    @property
    def purchase_rate(self) -> Rate:
        """Give the products that led to a purchase per product shown."""
        return proportion(self.converted, self.shown, prior=0)


@dataclass(frozen=True, slots=True)
class Effectiveness:
    """The figures of all recommendations, and of their groups by grouping."""

    days: Days
    source: From
    group_by: tuple[str, ...]
    groups: dict[tuple[str, ...], list[Place]]

    @property
    def total(self) -> Place:
        """Give the figures of all of them."""
        return self.groups[()][0]

    def by(self, *sides: str) -> list[Place]:
        """Give the groups of some sides that were asked for."""
        return self.groups[in_order(sides)]


def read_recommendations(
    session: Session,
    first: date,
    last: date,
    *,
    zone: str,
    group_by: Sequence[str] = (),
    traffic: Traffic = COUNTED,
) -> Effectiveness:
    """Sum the days first to last: in all, by each side, by place, and by the sides of `group_by`.

    Most shown groups come first; positions and versions by their number.
    """
    days = read_days(session, first, last, zone=zone, traffic=traffic)
    credit = read_credit_days(session, days)
    place = ", ".join(PLACE)
    shown = days.rows_sql("daily_recommendations", f"{place}, lists, shown", count_shown_sql)
    asked = in_order(group_by)
    groupings = {*_GROUPINGS, asked}
    sums = ", ".join(
        f"sum({name}) FILTER (WHERE rung <> :unlisted) AS {name}, "
        f"sum({name}) FILTER (WHERE rung = :unlisted) AS unlisted_{name}"
        for name in _FIGURES
    )
    sides = ", ".join(f"grouping({side}) = 0 AS by_{side}" for side in PLACE)
    with hash_joins(session):
        found = session.execute(
            text(
                f"""
SELECT {place}, {sums}, {sides}
FROM (
    SELECT {place}, lists, shown, 0 AS clicked, 0 AS purchased, 0 AS converted, 0 AS revenue
    FROM {shown}
    UNION ALL SELECT {place}, 0, 0, {", ".join(COUNTS)} FROM {credit.rows_sql(place)}
) AS figure
GROUP BY GROUPING SETS ({", ".join(f"({', '.join(sides)})" for sides in sorted(groupings))})
ORDER BY sum(shown) DESC, {place}"""
            ),
            {**days.parameters(), **credit.parameters(), "unlisted": UNLISTED},
        ).all()
    groups = {by: _pick(found, by) for by in groupings}
    return Effectiveness(days, credit.source, asked, groups)


def in_order(sides: Iterable[str]) -> tuple[str, ...]:
    """Give sides in the order of PLACE, each once."""
    wanted = set(sides)
    return tuple(side for side in PLACE if side in wanted)


def _pick(rows: Iterable[Any], by: tuple[str, ...]) -> list[Place]:
    chosen = [
        _place(row, by)
        for row in rows
        if all(getattr(row, f"by_{side}") == (side in by) for side in PLACE)
    ][:MAX_PLACES]
    if len(by) == 1 and by[0] in ("position", "model_version"):
        chosen.sort(key=lambda place: getattr(place, by[0]))
    return chosen or ([] if by else [Place()])


def _place(row: Any, by: tuple[str, ...]) -> Place:
    sides = {side: getattr(row, side) for side in by}
    return Place(
        **sides,
        lists=None if {"position", "rung"}.intersection(by) else int(row.lists or 0),
        shown=int(row.shown or 0),
        clicked=int(row.clicked or 0),
        purchased=int(row.purchased or 0),
        converted=int(row.converted or 0),
        revenue=row.revenue or Decimal(0),
        unlisted=Unlisted(
            int(row.unlisted_shown or 0),
            int(row.unlisted_clicked or 0),
            int(row.unlisted_purchased or 0),
            row.unlisted_revenue or Decimal(0),
        ),
    )
