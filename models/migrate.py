"""Bring the database to the newest schema with Alembic.

It is loaded by whoever migrates: the web server asks for the revisions only, and is smaller so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent.parent / "migrations"
_LOCK = 7_301_003


def migrate(engine: Engine, *, target: str = "head") -> str | None:
    """Run the migrations up to `target` ("base" undoes all); give the revision reached.

    Several processes may start at once: one migrates, the others wait and find nothing to do.
    """
    from alembic import command

    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        config = _config(connection)
        if target == "base" or target.startswith("-"):
            command.downgrade(config, target)
        else:
            command.upgrade(config, target)
        connection.commit()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        connection.commit()
        return read_revision(connection)


def read_revision(connection: Connection) -> str | None:
    """Give the revision the database is at; None for an empty one."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def newest_revision() -> str | None:
    """Give the newest revision this code knows."""
    names = [path.name for path in (_FOLDER / "versions").glob("[0-9]*.py")]
    return max(names).partition("_")[0] if names else None


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
