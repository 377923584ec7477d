"""Open an installation for a command that a person runs by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import Engine

from cli.outage import naming_servers
from cli.servers import connect
from logs import configure_logs
from models.database import make_engine
from models.migrate import newest_revision, read_revision
from settings import Settings, read_settings, resolve_spool_dir
from spool import Spool

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def installation(*, migrated: bool = True) -> Iterator[tuple[Settings, Engine]]:
    """Yield settings with all addresses, and an engine.

    The servers are those of a running Millrace, or are started for as long as the command takes.
    Raises ClickException when the schema is not the one that this code knows, and ServerError when
    a server is away. Only warnings are logged: the command itself says what it did.
    """
    context = click.get_current_context(silent=True)
    debug = context is not None and context.find_root().params.get("debug", False)
    configure_logs("debug" if debug else "warning")
    with naming_servers(), connect(read_settings()) as settings:
        engine = make_engine(settings.sqlalchemy_url, application="command")
        try:
            if migrated:
                _check_revision(engine)
            yield settings, engine
        finally:
            engine.dispose()


def open_spool(settings: Settings) -> Spool | None:
    """Give the spool of this machine, None when it has none. Opens no file yet."""
    folder = resolve_spool_dir(settings, root=ROOT)
    return None if folder is None else Spool(folder, max_bytes=settings.spool_max_bytes)


def _check_revision(engine: Engine) -> None:
    with engine.connect() as connection:
        found = read_revision(connection)
    newest = newest_revision()
    if found != newest:
        raise click.ClickException(
            f"the database is at schema {found or 'none'}, this version needs {newest}. Run "
            "`./millrace migrate`, or `./millrace run`, which does it too."
        )
