"""Events as columns, turned into dicts a chunk at a time.

Half a million dicts take about a gigabyte; the same events as arrays take some
tens of megabytes, and building a dict when it is asked for costs about 2 µs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

Event = dict[str, Any]
Column = Callable[[int, int], list[Any]]
"""Gives the values of the rows [start, stop); None means that the event has no such key."""

CHUNK_ROWS = 4096
DAY_MS = 86_400_000


def day_of(time_ms: int) -> date:
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC).date()


@dataclass(frozen=True)
class EventTable:
    """Columns of events, sorted by time; `first_row` hides what comes before it."""

    times_ms: NDArray[np.int64]
    columns: Mapping[str, Column]
    first_row: int = 0

    def __len__(self) -> int:
        return len(self.times_ms) - self.first_row

    def __iter__(self) -> Iterator[Event]:
        keys = [*self.columns, "occurred_at"]
        columns = [*self.columns.values(), iso_times(self.times_ms)]
        end = len(self.times_ms)
        for start in range(self.first_row, end, CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, end)
            for row in zip(*(column(start, stop) for column in columns), strict=True):
                yield {
                    key: value for key, value in zip(keys, row, strict=True) if value is not None
                }

    @property
    def first_day(self) -> date:
        return day_of(int(self.times_ms[self.first_row]))

    @property
    def last_day(self) -> date:
        return day_of(int(self.times_ms[-1]))

    def last(self, count: int) -> "EventTable":
        """Keep only the latest `count` events."""
        return replace(self, first_row=max(self.first_row, len(self.times_ms) - count))


def constant(value: object) -> Column:
    return lambda start, stop: [value] * (stop - start)


def plain(values: NDArray[Any]) -> Column:
    return lambda start, stop: values[start:stop].tolist()


def numbers(values: NDArray[np.float64]) -> Column:
    """Floats; NaN means no value."""
    return lambda start, stop: [
        None if value != value else value for value in values[start:stop].tolist()
    ]


def labels(names: Sequence[Any], codes: NDArray[Any]) -> Column:
    """Look each code up in `names`; the code -1 means no value."""
    table = np.array([*names, None], dtype=object)
    return lambda start, stop: table[codes[start:stop]].tolist()


def numbered(prefix: str, rows: NDArray[np.int64]) -> Column:
    return lambda start, stop: [f"{prefix}{row}" for row in rows[start:stop].tolist()]


def records(columns: Mapping[str, Column]) -> Column:
    """Dicts of several columns; a row in which all are absent has no value."""
    keys = list(columns)

    def read(start: int, stop: int) -> list[Any]:
        rows = zip(*(column(start, stop) for column in columns.values()), strict=True)
        return [
            {key: value for key, value in zip(keys, row, strict=True) if value is not None} or None
            for row in rows
        ]

    return read


def iso_times(times_ms: NDArray[np.int64]) -> Column:
    """ISO 8601 in UTC; milliseconds are written only where the data has any."""
    unit: Any = "ms" if (times_ms % 1000).any() else "s"
    times = times_ms.astype("datetime64[ms]")
    return lambda start, stop: np.datetime_as_string(
        times[start:stop], unit=unit, timezone="UTC"
    ).tolist()
