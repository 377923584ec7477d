"""Migrations: up, down and up again, and the tables are those of the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, inspect, make_url, text

from models.base import Base
from models.database import make_engine
from models.migrate import migrate, newest_revision, read_revision
from settings import Settings

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


@pytest.fixture
def empty_database(server_settings: Settings, shared_engine: Engine) -> Iterator[Engine]:
    """Make a database of its own beside the tests' and drop it after."""
    outside = shared_engine.execution_options(isolation_level="AUTOCOMMIT")
    with outside.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS migrations"))
        connection.execute(text("CREATE DATABASE migrations"))
    url = make_url(server_settings.sqlalchemy_url).set(database="migrations")
    engine = make_engine(url.render_as_string(hide_password=False), application="tests")
    yield engine
    engine.dispose()
    with outside.connect() as connection:
        connection.execute(text("DROP DATABASE migrations"))


def test_migrations_go_up_and_down_and_up_again(empty_database: Engine) -> None:
    assert migrate(empty_database) == newest_revision()
    tables = set(inspect(empty_database).get_table_names())

    assert migrate(empty_database, target="base") is None
    assert set(inspect(empty_database).get_table_names()) == {"alembic_version"}

    assert migrate(empty_database) == newest_revision()
    assert set(inspect(empty_database).get_table_names()) == tables


def test_migrating_twice_changes_nothing(empty_database: Engine) -> None:
    assert migrate(empty_database) == migrate(empty_database)
    with empty_database.connect() as connection:
        assert read_revision(connection) == newest_revision()


def test_the_tables_are_those_of_the_models(empty_database: Engine) -> None:
    migrate(empty_database)

    assert set(Base.metadata.tables) <= set(inspect(empty_database).get_table_names())
    with empty_database.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        # Raises when a migration is missing.
        command.check(config)
