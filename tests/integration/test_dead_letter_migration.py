"""The migration of dead letters: up and down while letters are kept, and none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import Engine, text

from models.migrate import migrate
from settings import Settings
from tests.integration import test_migrations

_KEEP = (
    "INSERT INTO dead_letters (event_id, reason, detail, event) "
    "VALUES (gen_random_uuid(), 'refused', '', :event)"
)
TYPES = {
    '{"events":[{"event_type":"product_view"}]}': "product_view",
    '{"events":[{"event_type":"' + "x" * 200 + '"}]}': "x" * 100,
    '{"events":[{"event_type":"\\u0000"}]}': None,
    '{"events":[]}': None,
    '{"events":' + "[" * 100_000: None,
    "{broken": None,
    "": None,
}


@pytest.fixture
def old_database(server_settings: Settings, shared_engine: Engine) -> Iterator[Engine]:
    """Give a database of the schema before."""
    made = test_migrations.empty_database.__wrapped__(server_settings, shared_engine)
    engine = next(made)
    migrate(engine, target="0007")
    yield engine
    for _ in made:
        pass


def test_letters_of_before_get_their_types_whatever_they_hold(old_database: Engine) -> None:
    with old_database.begin() as connection:
        for event in TYPES:
            connection.execute(text(_KEEP), {"event": event})

    migrate(old_database, target="0008")

    with old_database.begin() as connection:
        found = connection.execute(text("SELECT event, event_type FROM dead_letters")).all()
    assert {row.event: row.event_type for row in found} == TYPES


def test_it_goes_up_and_down_while_letters_are_kept(old_database: Engine) -> None:
    enough = Event()

    def keep() -> int:
        kept = 0
        while not enough.is_set():
            with old_database.begin() as connection:
                connection.execute(text(_KEEP), {"event": next(iter(TYPES))})
            kept += 1
        return kept

    with ThreadPoolExecutor(3) as pool:
        keepers = [pool.submit(keep) for _ in range(3)]
        for target in ("0008", "0007", "0008", "0007", "0008"):
            migrate(old_database, target=target)
        enough.set()
    kept = sum(keeper.result() for keeper in keepers)

    with old_database.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM dead_letters")) == kept > 0
