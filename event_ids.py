"""Make event ids that deduplicate and find their partition by themselves.

An event id is a UUID whose first 48 bits are milliseconds since 1970 (RFC 9562, versions 7 and
8). A retry of the same event must get the same id, so nothing here looks at the time of arrival
when the client gave an id of its own.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b

DAY_MS = 86_400_000
#: A client's UUIDv7 may lie this far from the event's own timestamp; beyond it the id is remade.
MAX_ID_DRIFT_MS = DAY_MS
#: An event's day lies at most this many days from the day of its id: the drift, the clamp of a
#: client clock that runs ahead by up to a day, and a reporting zone west of UTC, where the same
#: moment has an earlier day. Day queries and purges allow for it.
ID_DAY_MARGIN = 3
#: The same as a moment, where no zone comes in: how far an id's time may lie behind an event's
#: time (the drift), and how far ahead of it (the drift, and a clock that runs ahead by a day).
ID_BEHIND_MS, ID_AHEAD_MS = DAY_MS, 2 * DAY_MS

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def make_event_id(
    client_id: str | None, *, key_id: str, occurred_ms: int | None, received_ms: int
) -> str:
    """Give an event its id.

    A UUIDv7 of the client is kept. Any other id becomes a UUIDv8: time bits from the event's own
    timestamp (zero when it has none), the rest a hash of the write key and the client's id, so
    that nobody can suppress another's events. Without an id: a fresh UUIDv7, not deduplicated.
    """
    if client_id is None:
        return uuid7(received_ms if occurred_ms is None else occurred_ms)
    id_ms = uuid7_ms(client_id)
    if id_ms is not None and (occurred_ms is None or abs(id_ms - occurred_ms) <= MAX_ID_DRIFT_MS):
        return client_id.lower()
    return uuid8(occurred_ms or 0, f"{key_id}\0{client_id}")


def uuid7(time_ms: int) -> str:
    """Make a random UUIDv7 with the given milliseconds."""
    return _layout(time_ms, "7", os.urandom(10).hex())


def uuid8(time_ms: int, name: str) -> str:
    """Make the UUIDv8 that belongs to a name at a time: always the same one."""
    return _layout(time_ms, "8", blake2b(name.encode(), digest_size=10).hexdigest())


def uuid7_ms(text: str) -> int | None:
    """Read the milliseconds of a UUIDv7; None when the text is anything else."""
    if len(text) != 36 or text[14] != "7":
        return None
    lower = text.lower()
    if _UUID7.fullmatch(lower) is None:
        return None
    return int(lower[:8] + lower[9:13], 16)


def id_ms(event_id: str) -> int:
    """Read the milliseconds of an event id."""
    return int(event_id[:8] + event_id[9:13], 16)


def id_day(event_id: str) -> date | None:
    """Give the UTC day in an id; None for an id whose time bits are zero."""
    time_ms = id_ms(event_id)
    return None if time_ms == 0 else datetime.fromtimestamp(time_ms / 1000, UTC).date()


def first_id_of(day: date) -> str:
    """Give the smallest id of a UTC day: the bound of its partition."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return first_id_at(int(start.timestamp() * 1000))


def first_id_at(time_ms: int) -> str:
    """Give the smallest id with a time from the given milliseconds on."""
    # Time bits of zero say that an id has no time: the first day begins a millisecond later.
    text = f"{max(1, time_ms):012x}"
    return f"{text[:8]}-{text[8:]}-0000-0000-000000000000"


def id_range_of(first: date, last: date) -> tuple[str, str]:
    """Give the half-open id range that holds every dated event of the days first to last."""
    margin = timedelta(days=ID_DAY_MARGIN)
    return first_id_of(first - margin), first_id_of(last + margin + timedelta(days=1))


#: The two bits of RFC 9562's variant, with the two that a hexadecimal digit has left.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def _layout(time_ms: int, version: str, tail: str) -> str:
    time = f"{time_ms:012x}"
    return f"{time[:8]}-{time[8:]}-{version}{tail[1:4]}-{_VARIANT[tail[4]]}{tail[5:8]}-{tail[8:]}"
