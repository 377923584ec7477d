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


def test_what_was_served_becomes_the_history_of_promotions_and_back(empty_database: Engine) -> None:
    migrate(empty_database, target="0005")
    run = "INSERT INTO training_runs (status, days, requested_at) VALUES ('promoted', 30, now())"
    kept = (
        "INSERT INTO model_artefacts "
        "(run_id, created_at, served_from, sha256, size_bytes, manifest, content) "
        "SELECT 1, now(), served_from, '', 0, '{}', '' FROM (VALUES "
        "(CAST('2026-03-02' AS timestamptz)), (NULL), ('2026-03-03'), ('2026-03-01')) "
        "AS served(served_from)"
    )
    with empty_database.begin() as connection:
        connection.execute(text(run))
        connection.execute(text(kept))
    history = "SELECT version, previous_id FROM model_promotions ORDER BY promotion_id"
    served = "SELECT version FROM model_artefacts ORDER BY served_from DESC NULLS LAST LIMIT 1"
    again = (
        "INSERT INTO model_promotions (version, previous_id, promoted_at, promoted_by, reason) "
        "VALUES (1, 3, '2026-03-04', 'test', 'by hand') RETURNING promotion_id"
    )

    migrate(empty_database, target="0006")
    with empty_database.begin() as connection:
        assert connection.execute(text(history)).all() == [(4, None), (1, 1), (3, 2)]
        assert connection.scalar(text(again)) == 4
    migrate(empty_database, target="-1")

    with empty_database.connect() as connection:
        assert connection.scalar(text(served)) == 1


def test_recommendations_that_were_counted_keep_their_figures(empty_database: Engine) -> None:
    migrate(empty_database, target="0006")
    with empty_database.begin() as connection:
        for day, sealed in (("2026-03-01", "now()"), ("2026-03-02", "NULL")):
            connection.execute(
                text(
                    "INSERT INTO daily_totals (day, events, unique_users, unique_anonymous, "
                    f"computed_at, sealed_at) VALUES (:day, 9, 1, 0, now(), {sealed})"
                ),
                {"day": day},
            )
            connection.execute(
                text("INSERT INTO daily_recommendations VALUES (:day, 'home', 1, 6, 2, 1)"),
                {"day": day},
            )

    migrate(empty_database, target="0007")

    with empty_database.begin() as connection:
        shown = connection.execute(
            text("SELECT rung, model_version, lists, shown FROM daily_recommendations")
        ).all()
        earned = connection.execute(
            text("SELECT rung, clicked, purchased, revenue FROM daily_recommendation_credit")
        ).all()
        dirty = connection.scalars(text("SELECT CAST(day AS text) FROM dirty_days")).all()
    assert shown == [("unknown", 0, 0, 6)] * 2
    assert earned == [("unknown", 2, 1, 0)] * 2
    assert dirty == ["2026-03-02"]

    migrate(empty_database, target="-1")

    with empty_database.begin() as connection:
        rows = connection.execute(
            text("SELECT position, shown, clicked, purchased FROM daily_recommendations")
        ).all()
    assert rows == [(1, 6, 2, 1)] * 2
