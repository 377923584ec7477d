"""Make engines and transactions. An engine belongs to the process that made it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

#: What SQLAlchemy knows of the driver, for statements that do not go through it.
DRIVER = PGDialect_psycopg()  # type: ignore[no-untyped-call]

#: A server that vanishes closes nothing: so long its network may be silent before a connection
#: counts as lost (s; the last one in ms). On a Unix socket these mean nothing.
SILENCE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


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
            **SILENCE,
        },
    }


#: How long one read of a request that shows products may take.
READ_WITHIN_S = 2.0


def make_reader(url: str, *, application: str) -> Engine:
    """Make an engine for short reads that are asked again and again with other values.

    Each is a transaction of its own, planned once for a connection, and given up after
    READ_WITHIN_S: whoever waits for it shows a page. Connections are not tried before use: who
    asks does so again when `is_stale` says that the server was restarted.
    """
    options = engine_options(application)
    options["connect_args"] |= {
        "connect_timeout": 2,
        "options": "-c timezone=UTC -c plan_cache_mode=force_generic_plan "
        f"-c statement_timeout={int(READ_WITHIN_S * 1000)}",
        "prepare_threshold": 0,
    }
    options["pool_pre_ping"] = False
    return create_engine(url, isolation_level="AUTOCOMMIT", **options)


def driver_error(error: psycopg.Error, statement: str, raw: psycopg.Connection[Any]) -> DBAPIError:
    """Give an error of the driver, on a connection of it, as SQLAlchemy would raise it."""
    return DBAPIError.instance(  # type: ignore[return-value]
        statement,
        None,
        error,
        psycopg.Error,
        hide_parameters=True,
        connection_invalidated=raw.closed,
        dialect=DRIVER,
    )


def is_stale(error: DBAPIError) -> bool:
    """Tell whether a kept connection had ended; the others are forgotten, and a new one is made."""
    return bool(error.connection_invalidated)


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """Open a session and commit at the end; roll back on an error."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session
