"""The quick way to store: COPY the lines of batches as they came, then count them.

COPY knows no ON CONFLICT: when an id is stored already, or stands in the set twice, it fails, and
the caller stores the set with the fused statement. That is rare, and most of it is seen before:
who sends a batch again sends its first event again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.errors import DeadlockDetected, UniqueViolation
from sqlalchemy import text
from sqlalchemy.orm import Session

from event_lines import LINE_COLUMNS, SHARED_COLUMNS, Line, as_csv, is_lines, read_head, read_lines
from event_types import LINKING
from models.database import driver_error, is_stale
from models.product_metrics import add_counts_sql
from models.suppressions import Salts
from models.tally import Tally, array_text, columns_text, relation_sql, tallied_sql

_COPY = (
    f"COPY events ({', '.join((*LINE_COLUMNS, *SHARED_COLUMNS))}) FROM STDIN "
    "(FORMAT csv, ESCAPE '\\', NULL 'null')"
).encode()


class AlreadyStoredError(Exception):
    """One of the events has an id that is stored, or two have the same: nothing was stored."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Batches that are written in lines: what COPY takes, and what is counted."""

    csv: bytes
    events: Sequence[Line]
    first_ids: Sequence[UUID]


def read_batches(batches: Sequence[bytes]) -> Lines | None:
    """Read batches for the quick way; None without any, or when one is not written in lines."""
    csv: list[bytes] = []
    events: list[Line] = []
    first_ids: list[UUID] = []
    try:
        for batch in batches:
            if not is_lines(batch):
                return None
            head, lines = read_head(batch), read_lines(batch)
            if len(lines) != head.lines:
                return None
            csv.append(as_csv(batch, head))
            first_ids.append(UUID(lines[0].event_id))
            events += lines
    except (msgspec.MsgspecError, RecursionError, ValueError, IndexError):
        return None
    return Lines(b"".join(csv), events, first_ids) if events else None


def has_repeated(session: Session, lines: Lines) -> bool:
    """Tell whether a batch seems to be there already, or twice in the set: by its first event."""
    ids = lines.first_ids
    if len(set(ids)) < len(ids):
        return True
    # With its bounds in the statement PostgreSQL looks at the partitions between them only. To
    # plan for all those of a year takes it 40 ms, and to prune them by each id 0.05 ms.
    found = session.connection().exec_driver_sql(
        "SELECT EXISTS (SELECT FROM unnest(CAST(%s AS uuid[])) AS given(id) "
        f"JOIN events ON event_id = id WHERE event_id BETWEEN '{min(ids)}' AND '{max(ids)}')",
        ("{" + ",".join(map(str, ids)) + "}",),
    )
    return bool(found.scalar_one())


def has_suppressed(session: Session, lines: Lines, salts: Salts) -> bool:
    """Tell whether one of the events is of a suppressed person."""
    actors = {(event.user_id, event.anonymous_id) for event in lines.events}
    digests = {salts.digest_actor(*actor) for actor in actors} - {None}
    found = session.scalar(
        text("SELECT EXISTS (SELECT FROM suppressions WHERE digest = ANY(:digests))"),
        {"digests": list(digests)},
    )
    return bool(found)


def copy_lines(session: Session, lines: Lines, *, zone: str) -> int:
    """Store and count events, none of which is stored yet; give how many they are.

    Raises AlreadyStoredError, and DBAPIError as a statement would; then the transaction is lost.
    """
    _copy(session, lines.csv)
    tally = Tally.of(lines.events)
    links = [event for event in lines.events if event.event_type in LINKING and _links(event)]
    session.execute(
        _COUNT[bool(links)],
        {
            **tally.as_parameters(),
            # A minute lies on one day in every zone.
            "minutes": array_text({event.occurred_at[:16] + "Z" for event in lines.events}),
            "zone": zone,
            **(columns_text(links, _LINK, "link_") if links else {}),
        },
    )
    return len(lines.events)


def _copy(session: Session, csv: bytes) -> None:
    connection = session.connection()
    raw: Any = connection.connection.dbapi_connection
    try:
        with raw.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.write(csv)
    except (UniqueViolation, DeadlockDetected):
        # Another worker that stores the same events may wait for us as we wait for it.
        raise AlreadyStoredError from None
    except psycopg.Error as error:
        refused = driver_error(error, _COPY.decode(), raw)
        if is_stale(refused):
            session.invalidate()
        raise refused from error


def _links(event: Line) -> bool:
    return event.excluded is None and event.user_id is not None and event.anonymous_id is not None


#: The columns of what links, with their types.
_LINK = {
    "anonymous_id": "text",
    "user_id": "text",
    "occurred_at": "timestamptz",
    "event_id": "uuid",
}


def _count_sql(*, linking: bool) -> str:
    linked = f"""
), linked AS (
    INSERT INTO identities (anonymous_id, user_id)
    SELECT DISTINCT ON (anonymous_id) anonymous_id, user_id FROM {relation_sql(_LINK, "link_")}
    ORDER BY anonymous_id, occurred_at, event_id
    ON CONFLICT (anonymous_id) DO NOTHING
    RETURNING anonymous_id
), relinked AS (
    INSERT INTO dirty_identities (anonymous_id) SELECT anonymous_id FROM linked"""
    return f"""
WITH counted AS ({tallied_sql()}
), metrics AS ({add_counts_sql("product_metrics", "counted")}{linked if linking else ""}
)
INSERT INTO dirty_days (day)
SELECT DISTINCT (minute AT TIME ZONE :zone)::date
FROM unnest(CAST(:minutes AS timestamptz[])) AS minute"""


_COUNT = {linking: text(_count_sql(linking=linking)) for linking in (False, True)}
