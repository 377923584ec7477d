"""Reads for requests that show products, without what SQLAlchemy does around each of them.

That takes longer than most of these reads.
"""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy import Connection, text

from models.database import DRIVER, driver_error, is_stale


class QuickRead:
    """A SELECT that is asked again and again; `:names` stand for its parameters."""

    def __init__(self, statement: str) -> None:
        self._statement = str(text(statement).compile(dialect=DRIVER))

    def rows(self, connection: Connection, **parameters: Any) -> list[tuple[Any, ...]]:
        """Give all rows. Raises DBAPIError as `connection.execute` does.

        Where the connection has ended, the engine's other ones are taken for ended too.
        """
        raw: Any = connection.connection.dbapi_connection
        try:
            with raw.cursor() as cursor:
                cursor.execute(self._statement, parameters)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
                return rows
        except psycopg.Error as error:
            refused = driver_error(error, self._statement, raw)
            if is_stale(refused):
                connection.invalidate()
                connection.engine.dispose()
            raise refused from error
