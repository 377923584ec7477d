"""When each event happened: read from a column, or made up where the data gives no time."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasets.dataset import MappingError
from datasets.rules import TimeRule

Times = NDArray[np.int64]

NO_TIME = np.iinfo(np.int64).min
LATEST_MS = 253_402_300_800_000
"""The end of the year 9999, the last that a date can hold."""
MORNING_S = 7 * 3600
EVENING_S = 23 * 3600


def read_times(rule: TimeRule, frame: pd.DataFrame, people: pd.Series, visits: pd.Series) -> Times:
    """Give milliseconds since 1970 for each row; NO_TIME where the text is no time.

    `people` and `visits` name the person and the session of each row: where the
    data has days only, or only an order, the rows of one visit follow each other.
    """
    if rule.kind == "order":
        order = row_order(rule, frame)
        if rule.spread == "people":
            return spread_people(people, order, rule.days)
        return spread_visits(visits, order, rule)
    text = frame[rule.column]
    if rule.kind == "unix":
        return unix_times(text, 1000 if rule.unit == "s" else 1)
    days = calendar_times(text, rule.format)
    if rule.kind == "iso":
        return days
    return days_with_clock(days, visits, row_order(rule, frame), rule.step_s)


def made_up(rule: TimeRule) -> str | None:
    """Say in a sentence what is made up, if anything is."""
    if rule.kind == "date":
        return "The data gives days only; the times within a day are made up."
    if rule.kind == "order":
        return f"The data gives only an order; all times are made up, over {rule.days} days."
    return None


def unix_times(text: pd.Series, to_ms: int) -> Times:
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64) * to_ms
    readable = np.abs(values) < LATEST_MS
    return np.where(readable, np.where(readable, values, 0).round(), NO_TIME).astype(np.int64)


def calendar_times(text: pd.Series, format_: str | None) -> Times:
    try:
        times = pd.to_datetime(text, format=format_ or "ISO8601", utc=True, errors="coerce")
    except ValueError as error:
        raise MappingError(f"[events.time] format {format_!r}: {error}") from error
    naive = times.dt.tz_localize(None).to_numpy().astype("datetime64[ms]")
    return np.where(np.isnat(naive), NO_TIME, naive.astype(np.int64))


def row_order(rule: TimeRule, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Give the place of each row: the order column, else the order of the file."""
    if rule.order is None:
        return np.arange(len(frame), dtype=np.float64)
    order = pd.to_numeric(frame[rule.order], errors="coerce")
    return np.asarray(order.fillna(np.inf), dtype=np.float64)


def ranks_and_sizes(
    groups: NDArray[np.int64], order: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give each row its place in its group, from 0, and the size of that group."""
    sequence = np.lexsort((order, groups))
    sizes = np.bincount(groups)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    ranks = np.empty(len(groups), dtype=np.int64)
    ranks[sequence] = np.arange(len(groups)) - starts[groups[sequence]]
    return ranks, sizes[groups]


def shares(names: pd.Series) -> NDArray[np.float64]:
    """Give each name a number in [0, 1) that is the same in every run."""
    hashes = pd.util.hash_array(names.to_numpy(dtype=object))
    return np.asarray((hashes >> np.uint64(11)) / 2.0**53, dtype=np.float64)


def days_with_clock(
    days: Times, visits: pd.Series, order: NDArray[np.float64], step_s: int
) -> Times:
    """Begin each visit of a day at a fixed, made-up hour and put a step between its rows."""
    keys = visits.astype(str) + "@" + pd.Series(days, index=visits.index).astype(str)
    groups, _ = pd.factorize(keys)
    ranks, sizes = ranks_and_sizes(groups, order)
    steps = np.minimum(step_s, (EVENING_S - MORNING_S) / sizes)
    room = EVENING_S - MORNING_S - steps * sizes
    clock_s = MORNING_S + shares(keys) * room + ranks * steps
    return np.where(days == NO_TIME, NO_TIME, days + clock_s.astype(np.int64) * 1000)


def spread_visits(visits: pd.Series, order: NDArray[np.float64], rule: TimeRule) -> Times:
    """Begin the visits, in the order of the file, evenly over the days; the last one fits in."""
    groups, names = pd.factorize(visits)
    ranks, _ = ranks_and_sizes(groups, order)
    longest_s = int(ranks.max(initial=0) + 1) * rule.step_s
    starts_s = groups / max(len(names), 1) * max(rule.days * 86_400 - longest_s, 0)
    return np.asarray(starts_s + ranks * rule.step_s, dtype=np.int64) * 1000


def spread_people(people: pd.Series, order: NDArray[np.float64], days: int) -> Times:
    """Spread what each person did evenly over the days; people are not in step."""
    groups, _ = pd.factorize(people)
    ranks, sizes = ranks_and_sizes(groups, order)
    times_s = (ranks + shares(people)) / sizes * days * 86_400
    return np.asarray(times_s, dtype=np.int64) * 1000
