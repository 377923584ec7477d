"""What grows with the events is read through a cursor of the server: memory holds a part of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from psycopg import ServerCursor
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from models.holdings import stream_held
from models.person import Person
from models.reports.people import read_active
from tasks.aggregate import aggregate_days
from tests.builders import NOW, NOW_MS, TODAY, store_events


def view(number: int) -> dict[str, Any]:
    return {"event_type": "product_view", "user_id": f"u{number}", "occurred_at": NOW_MS - number}


@contextmanager
def streamed(engine: Engine) -> Iterator[list[str]]:
    """Note the statements whose rows stay at the server until they are asked for."""
    found: list[str] = []

    def note(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        if isinstance(cursor, ServerCursor):
            found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_the_people_of_a_day_are_streamed_into_its_sketches(engine: Engine) -> None:
    store_events(engine, view(1), view(2))

    with streamed(engine) as statements:
        aggregate_days(engine, [TODAY], zone="UTC", now=NOW)

    assert sum("SELECT DISTINCT day, known_user_id" in item for item in statements) == 1


def test_the_people_of_days_without_sketches_are_streamed(engine: Engine, session: Session) -> None:
    store_events(engine, view(1), view(2))

    with streamed(engine) as statements:
        people = read_active(session, TODAY, zone="UTC", method="sketch")["day"]

    assert people is not None
    assert round(people.users.value) == 2
    assert sum("max(day) AS latest" in item for item in statements) == 1


def test_what_is_held_about_a_person_is_streamed(engine: Engine, redis_client: redis.Redis) -> None:
    store_events(engine, view(1), view(1))

    with streamed(engine) as statements:
        lines = list(stream_held(engine, redis_client, Person("u1"), salts=None))

    assert len(lines) == 2
    assert sum("row_to_json(events)" in item for item in statements) == 1
    assert sum("FROM dead_letters" in item for item in statements) == 1
