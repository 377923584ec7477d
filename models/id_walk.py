"""A way through the events from the newest id back to the oldest, in windows of ids.

Planning a query over hundreds of daily partitions takes longer than finding a page of events. So
whoever wants the newest events looks into windows, each wider than the one before, until enough
is found. Each window is a transaction of its own: a query locks the partitions it looks into,
with all their indices, until its transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from sqlalchemy import Connection, text

from event_ids import first_id_of, id_day
from models.daily_aggregates import UNDATED_END

#: Days of the widest window, and how much wider each is than the one before.
WIDEST, GROWTH = 64, 4
LOWEST_ID = "00000000-0000-0000-0000-000000000000"
_FIRST_DAY = date(1970, 1, 1)


class Walk:
    """The windows of the half-open id range low to high: `window` is the one to look into now.

    They are cut to the partitions that there are. Ids without a time lie in a last window of
    their own; `high` may lie there too.
    """

    def __init__(self, connection: Connection, low: str, high: str, *, today: date) -> None:
        self._connection = connection
        self._low, self._end = low, high
        # What is ahead of today is little, and belongs into its window.
        self._day = min(id_day(high) or _FIRST_DAY, today + timedelta(days=1))
        self._undated = (LOWEST_ID, min(UNDATED_END, high))
        self._knows_oldest = False
        self.width = 1
        self.is_done = False

    @property
    def window(self) -> tuple[str, str]:
        """Give the half-open range of ids to look into."""
        return self._undated if self._is_undated else (self._first, self._end)

    @property
    def is_narrowest(self) -> bool:
        """Tell whether the window cannot be narrowed."""
        return self.width == 1 or self._is_undated

    def advance(self) -> None:
        """Go on to the next window, a wider one."""
        if self._is_undated:
            self.is_done = True
            return
        self._day -= timedelta(days=min(self.width, (self._day - _FIRST_DAY).days))
        self._end = self._first_of_day()
        self.width = min(WIDEST, self.width * GROWTH)
        if not self._knows_oldest:
            # Most are content with the first window, and need not know where the events begin.
            self._low = max(self._low, _read_oldest_id(self._connection))
            self._knows_oldest = True

    def narrow(self) -> None:
        """Look into the newer part of the window only."""
        self.width = max(1, self.width // GROWTH)

    @property
    def _is_undated(self) -> bool:
        return self._end <= self._low

    @property
    def _first(self) -> str:
        days = min(self.width, (self._day - _FIRST_DAY).days)
        return max(self._low, first_id_of(self._day - timedelta(days=days)))

    def _first_of_day(self) -> str:
        return max(self._low, first_id_of(self._day))


@contextmanager
def planned_each_time(connection: Connection) -> Iterator[None]:
    """Open a transaction whose statements are planned for their values.

    A plan for any values would be one over all partitions.
    """
    with connection.begin():
        connection.execute(text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"))
        yield


def _read_oldest_id(connection: Connection) -> str:
    # The names of partitions are in the order of their days.
    with connection.begin():
        name = connection.scalar(
            text(
                "SELECT min(relname::text) FROM pg_inherits JOIN pg_class ON oid = inhrelid "
                "WHERE inhparent = CAST('events' AS regclass) AND relname <> 'events_undated'"
            )
        )
    return UNDATED_END if name is None else first_id_of(date.fromisoformat(name[-8:]))
