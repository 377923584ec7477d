"""The event list: the events that meet a filter, newest id first, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from event_ids import ID_AHEAD_MS, ID_BEHIND_MS, ID_DAY_MARGIN, first_id_at, first_id_of
from models.daily_aggregates import UNDATED_END
from models.events import Event
from models.id_walk import Walk, planned_each_time

#: Stand for reasons why events are excluded.
NONE, ANY = "none", "any"
#: Matches that a window of several days may hold. With more it is narrowed down to a day, whose
#: ids can be walked through in their order.
CROWD = 2000
# JSON stays text, and so do amounts: read and written again, they would lose digits.
_AS_TEXT = {
    **{name: f"CAST({name} AS text) AS {name}" for name in ("items", "properties", "context")},
    "value": "CAST(trim_scale(value) AS text) AS value",
}
EVENT_COLUMNS = ", ".join(
    _AS_TEXT.get(column.name, column.name) for column in Event.__table__.columns
)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Say which events are wanted: those that meet every condition that is given.

    `event_types` are catalogue names, any of them; `since` and `until` bound `occurred_at`,
    half-open. `entity_id` means nothing without `entity_type`. `excluded` is a reason, or NONE for
    the events that reports count, or ANY for all others.
    """

    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    product_id: str | None = None
    event_types: tuple[str, ...] = ()
    event_category: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    excluded: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether every event is wanted."""
        return all(getattr(self, item.name) == item.default for item in fields(self))

    def to_sql(self) -> tuple[str, dict[str, Any]]:
        """Write the condition over the columns of events, and its parameters; TRUE when empty."""
        given = {name: getattr(self, name) for name in EQUAL if getattr(self, name) is not None}
        conditions = [f"{name} = :{name}" for name in given]
        if self.event_types:
            conditions.append("event_type = ANY(:event_types)")
            given["event_types"] = list(self.event_types)
        if self.excluded in (NONE, ANY):
            conditions.append(f"excluded IS {'NULL' if self.excluded == NONE else 'NOT NULL'}")
        elif self.excluded is not None:
            conditions.append("excluded = :excluded")
            given["excluded"] = self.excluded
        for name, sign in (("since", ">="), ("until", "<")):
            if getattr(self, name) is not None:
                conditions.append(f"occurred_at {sign} :{name}")
                given[name] = getattr(self, name)
        return " AND ".join(conditions) or "TRUE", given

    def id_bounds(self, *, today: date) -> tuple[str, str]:
        """Give the half-open range of ids in which all dated events that are wanted lie.

        `today` is the day in UTC: nothing is stored from further ahead than the door takes.
        """
        low, high = UNDATED_END, first_id_of(today + timedelta(days=ID_DAY_MARGIN))
        if self.since is not None:
            low = max(low, first_id_at(_ms(self.since) - ID_BEHIND_MS))
        if self.until is not None:
            high = min(high, first_id_at(_ms(self.until) + ID_AHEAD_MS))
        return low, high


#: The columns that a filter compares with one value each.
EQUAL = (
    "user_id",
    "anonymous_id",
    "session_id",
    "product_id",
    "event_category",
    "entity_type",
    "entity_id",
)


@dataclass(frozen=True, slots=True)
class Page:
    """Some events, newest id first, and the id after which the next page begins."""

    events: Sequence[Any]
    last_id: UUID | None


def read_page(
    engine: Engine, wanted: EventFilter, *, before: UUID | None, limit: int, today: date
) -> Page:
    """Read the newest `limit` events that are wanted, of ids below `before`.

    `last_id` is None when nothing is left. Ids without a time come last. `today` is that of UTC.
    """
    low, high = wanted.id_bounds(today=today)
    if before is not None:
        high = min(high, str(before))
    found: list[UUID] = []
    with engine.connect() as connection:
        walk = Walk(connection, low, high, today=today)
        while not walk.is_done:
            ids = _find_ids(connection, wanted, walk, limit=limit + 1 - len(found))
            if ids is None:
                walk.narrow()
                continue
            found += ids
            if len(found) > limit:
                break
            walk.advance()
        events = _read_events(connection, found[:limit])
    return Page(events, found[limit - 1] if len(found) > limit else None)


def find_sql(wanted: EventFilter, *, is_narrow: bool) -> tuple[str, dict[str, Any]]:
    """Write the SELECT of up to :limit wanted ids from :low to :high, and its parameters.

    Of a day they come newest first. Of more days they come as they lie: asked for an order,
    PostgreSQL would walk through the ids of all days, wherever it expects the few of a person.
    """
    condition, parameters = wanted.to_sql()
    order = "ORDER BY event_id DESC " if is_narrow else ""
    return (
        f"SELECT event_id FROM events WHERE {condition} AND event_id >= CAST(:low AS uuid) "
        f"AND event_id < CAST(:high AS uuid) {order}LIMIT :limit",
        parameters,
    )


def _find_ids(
    connection: Connection, wanted: EventFilter, walk: Walk, *, limit: int
) -> list[UUID] | None:
    """Find the newest wanted ids of a window; None when it holds a crowd of them."""
    low, high = walk.window
    most = limit if walk.is_narrowest else max(limit, CROWD)
    statement, parameters = find_sql(wanted, is_narrow=walk.is_narrowest)
    with planned_each_time(connection):
        ids = connection.scalars(
            text(statement), {**parameters, "low": low, "high": high, "limit": most}
        ).all()
    if not walk.is_narrowest and len(ids) == most:
        return None
    return sorted(ids, reverse=True)[:limit]


def _read_events(connection: Connection, ids: Sequence[UUID]) -> Sequence[Any]:
    if not ids:
        return []
    statement = text(
        f"SELECT {EVENT_COLUMNS} FROM events WHERE event_id = ANY(:ids) ORDER BY event_id DESC"
    )
    with planned_each_time(connection):
        return connection.execute(statement, {"ids": list(ids)}).all()


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
