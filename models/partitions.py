"""Partitions of the events table: one a UTC day of the id, and one for ids without a time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from event_ids import first_id_of

#: Shared by stores and taken alone by a purge: no event is stored into a day while it is sealed.
STORE_LOCK = 7_301_001
#: Who stores or purges asks one thing after the other, and never lets the server wait this long.
STORE_IDLE = "10s"
_PARTITION_LOCK = 7_301_002
_REMOVAL_LOCK = 7_301_005
_NAME = re.compile(r"events_(\d{4})(\d\d)(\d\d)")


def partition_name(day: date) -> str:
    """Name the partition of a day."""
    return f"events_{day:%Y%m%d}"


def read_partition_days(session: Session) -> set[date]:
    """List the days that have a partition."""
    names = session.scalars(
        text(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass"
        )
    )
    matches = (_NAME.fullmatch(name) for name in names)
    return {date(int(m[1]), int(m[2]), int(m[3])) for m in matches if m}


def ensure_partitions(session: Session, days: Iterable[date]) -> list[date]:
    """Make the partitions that are missing; give their days. Commit soon after.

    Each is created apart and then attached: attaching lets readers and writers go on, where
    `CREATE TABLE … PARTITION OF` would stop them.
    """
    wanted = set(days)
    if not wanted:
        return []
    lock_partitions(session)
    missing = sorted(wanted - read_partition_days(session))
    for day in missing:
        create_apart(session, day)
        attach_partition(session, day)
    return missing


def lock_partitions(session: Session) -> None:
    """Make partitions one after the other, until the transaction ends."""
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _PARTITION_LOCK})


def create_apart(session: Session, day: date) -> None:
    """Make the table of a day's partition, which is not one yet and has no index."""
    session.execute(text(f"CREATE TABLE {partition_name(day)} (LIKE events INCLUDING DEFAULTS)"))


def attach_partition(session: Session, day: date) -> None:
    """Make a day's table a partition. It gets the indices that it lacks."""
    bounds = f"FROM ('{first_id_of(day)}') TO ('{first_id_of(day + timedelta(days=1))}')"
    session.execute(
        text(f"ALTER TABLE events ATTACH PARTITION {partition_name(day)} FOR VALUES {bounds}")
    )


def drop_partition(session: Session, day: date) -> None:
    """Drop a day's events. The caller has counted them into the purged counters."""
    session.execute(text(f"DROP TABLE {partition_name(day)}"))


def lock_for_store(session: Session, *, alone: bool = False, within_s: float = 0) -> None:
    """Hold off purges until the transaction ends. Stores do not hold off each other.

    Except one that needs several statements: each writes counters in order, but all together do
    not, and two such transactions would wait for each other's rows. It stores `alone`.

    A worker that is frozen in the middle holds rows that every other store waits for: the server
    ends its transaction after a while. Each statement after this one has `within_s`, and half of
    that to wait for a lock, so that the error tells the two apart; 0 leaves it all the time.
    """
    take = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    limits = {"idle_in_transaction_session_timeout": STORE_IDLE}
    if within_s:
        limits["statement_timeout"] = str(int(within_s * 1000))
        limits["lock_timeout"] = str(int(within_s * 500))
    settings = ", ".join(f"set_config('{name}', :{name}, true)" for name in limits)
    session.execute(text(f"SELECT {take}(:lock), {settings}"), {"lock": STORE_LOCK, **limits})


def lock_for_removal(session: Session) -> None:
    """Hold off purges, and wait for other removals, until the transaction ends.

    Two at once would choose the same events: the second would find fewer than it chose, and take
    that for the end.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _REMOVAL_LOCK})
    lock_for_store(session)


def lock_for_purge(session: Session) -> None:
    """Wait for the stores under way and hold off new ones until the transaction ends.

    Dropping a partition waits for whoever reads events, and would hold up everyone behind it: it
    gives up after a while, and the purge is tried again later. Of a process that is frozen in the
    middle, the server ends the transaction.
    """
    session.execute(text("SET LOCAL lock_timeout = '10s'"))
    session.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{STORE_IDLE}'"))
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": STORE_LOCK})
