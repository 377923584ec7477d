"""What is trending: read once for each aggregation, since reading it takes long."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import structlog
from psycopg.errors import QueryCanceled
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from models.shelves import read_aggregation, read_trending

log = structlog.get_logger()

TRENDING_DAYS = 30
_MOST = 100_000


class Trending:
    """Keep the products by recent interest for as long as the daily table is the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: tuple[Any, ...] | None = None
        self._scores: Mapping[str, float] = {}

    def scores(self, connection: Connection, *, today: date) -> Mapping[str, float]:
        """Give the score of each product that somebody met lately, the best first.

        Where reading takes longer than a request may wait, the scores known so far stay: other
        shelves come next.
        """
        since = today - timedelta(days=TRENDING_DAYS)
        version = (since, *read_aggregation(connection, since=since))
        with self._lock:
            if version != self._version:
                try:
                    self._scores = read_trending(connection, since=since, limit=_MOST)
                except OperationalError as error:
                    if not isinstance(error.orig, QueryCanceled):
                        raise
                    log.warning("trending_not_read", reason="it took too long")
                self._version = version
            return self._scores
