"""Make engines and transactions. An engine belongs to the process that made it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.orm import Session


def make_engine(url: str, *, application: str, keep_connections: bool = True) -> Engine:
    """Make an engine whose connections say what they are in pg_stat_activity.

    Connections are tried before use, so that a restarted database costs one
    round trip and not an error.
    """
    options = engine_options(application)
    if not keep_connections:
        options["poolclass"] = NullPool
    return create_engine(url, **options)


def engine_options(application: str) -> dict[str, Any]:
    """Give the options of every engine. Sessions run in UTC, whatever the server's default is."""
    return {
        "pool_pre_ping": True,
        # Errors quote their statement, and would quote people's events with it.
        "hide_parameters": True,
        "connect_args": {
            "application_name": f"millrace {application}",
            "connect_timeout": 5,
            "options": "-c timezone=UTC",
        },
    }


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """Open a session and commit at the end; roll back on an error."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session
