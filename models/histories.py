"""Histories: what people did with products lately, read while their lists are made.

They are read from the events, so an event stored now changes the next list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection

from event_ids import ID_DAY_MARGIN, first_id_of
from models.daily_aggregates import UNDATED_END
from models.interactions import BOUGHT_TYPES, INTERESTED_TYPES, WEIGHT_OF_EVENT
from models.person import Person
from models.quick_reads import QuickRead
from models.traffic import is_counted_sql

#: How far back a history goes at most, and how many events of it are read, the newest.
HISTORY_DAYS, HISTORY_EVENTS = 90, 300
#: Anybody may link ids to a user; so many are looked at, the newest.
LINKS_READ = 50
#: Where the windows end in which events are looked for, in days before today; the last one is that
#: of the history. The next one is looked into only while too little is found: somebody with very
#: many events costs little more than others.
_WINDOWS = (0, 1, 3, 7, 15, 31, 63)


class Line(NamedTuple):
    """One thing a person did with a product, some seconds ago."""

    product_id: str
    weight: float
    age_s: float
    bought: bool


#: The people of a statement that asks for nothing else.
_THESE = "unnest(CAST(:people AS text[])) AS person"


def _lines_of(
    column: str, *, people: str = _THESE, only: str = "TRUE", types: str = INTERESTED_TYPES
) -> str:
    """Write the SELECT of people and their lines, by the column that names them.

    `people` is a part of FROM with the column `person`. `only` is a condition on the newest events:
    looked for among all, it could take an age where an anonymous id has very many events that are
    a user's, and no other.

    Only parameters differ from one call to the next, so that a connection plans it once: planning
    over a quarter of a year of partitions takes ten times as long as finding a person's events.
    """
    theirs = (
        f"{column} = person AND event_type IN ({types}) AND {is_counted_sql()} "
        # Not by the index of times: unaware of how long the span is, the planner reads it for
        # every day, which takes longer than all that a person did.
        "AND occurred_at + interval '0 s' BETWEEN :since AND :until"
    )
    columns = (
        "event_id, user_id, product_id, items, event_type, occurred_at, "
        f"{WEIGHT_OF_EVENT} AS weight"
    )
    return f"""
SELECT person, coalesce(item.product_id, event.product_id) AS product_id, weight,
    CAST(greatest(extract(epoch FROM CAST(:now AS timestamptz) - occurred_at), 0) AS float8),
    event_type IN ({BOUGHT_TYPES}) AS bought
FROM {people} CROSS JOIN LATERAL (
    (SELECT found.*
     FROM unnest(CAST(:lows AS uuid[]), CAST(:highs AS uuid[])) AS span(low, high)
     CROSS JOIN LATERAL (
         SELECT {columns} FROM events
         WHERE {theirs} AND event_id >= low AND event_id < high
             AND event_id >= CAST(:lowest AS uuid) AND event_id < CAST(:highest AS uuid)
         ORDER BY event_id DESC) AS found
     LIMIT :limit)
    UNION ALL
    (SELECT {columns} FROM events WHERE {theirs} AND event_id < CAST(:undated AS uuid)
     ORDER BY occurred_at DESC LIMIT :limit)
) AS event LEFT JOIN LATERAL jsonb_to_recordset(items) AS item(product_id text) ON true
WHERE {only} AND coalesce(item.product_id, event.product_id) IS NOT NULL"""


_ALL, _BOUGHT = (
    (
        QuickRead(_lines_of("user_id", types=types)),
        QuickRead(_lines_of("anonymous_id", only="user_id IS NULL", types=types)),
    )
    for types in (INTERESTED_TYPES, BOUGHT_TYPES)
)


def read_histories(
    connection: Connection,
    people: Mapping[int, Person],
    *,
    now: datetime,
    days: int = HISTORY_DAYS,
    bought: bool = False,
    of_users: Mapping[str, Sequence[Line]] | None = None,
) -> dict[int, list[Line]]:
    """Give what each of some people did with products in the last days, newest first.

    With `bought` it is what they bought, however much else they did. `of_users` is what
    `read_people` read of users already. At most two statements, however many people are asked
    for. `connection` should keep the plans of its statements, see
    `models.database.make_reader`.
    """
    users: dict[str, list[int]] = defaultdict(list)
    anonymous: dict[str, list[int]] = defaultdict(list)
    found: dict[int, list[Line]] = {number: [] for number in people}
    for number, person in people.items():
        if person.user_id is not None:
            if of_users is not None and person.user_id in of_users:
                found[number].extend(of_users[person.user_id])
            else:
                users[person.user_id].append(number)
        for anonymous_id in person.anonymous_ids:
            anonymous[anonymous_id].append(number)
    statements = _BOUGHT if bought else _ALL
    for statement, owners in zip(statements, (users, anonymous), strict=True):
        if not owners:
            continue
        rows = statement.rows(connection, people=list(owners), **_bounds(now, days))
        for actor_id, product_id, weight, age_s, bought_it in rows:
            line = Line(product_id, weight, age_s, bought_it)
            for number in owners[actor_id]:
                found[number].append(line)
    for lines in found.values():
        lines.sort(key=attrgetter("age_s"))
    return found


def _bounds(now: datetime, days: int) -> dict[str, Any]:
    """Give the parameters of a statement: times, and the windows of the ids that have them.

    The last window holds ids that lie behind their event's time.
    """
    return {
        "now": now,
        "since": now - timedelta(days=days),
        # A client's clock may run ahead; what is further ahead was never taken.
        "until": now + timedelta(days=1),
        **_id_bounds(now.date(), days),
        "undated": UNDATED_END,
        "limit": HISTORY_EVENTS,
    }


@lru_cache(maxsize=8)
def _id_bounds(today: date, days: int) -> dict[str, str]:
    last = days + ID_DAY_MARGIN
    ends = [today - timedelta(days=end) for end in (*(w for w in _WINDOWS if w < last), last)]
    ids = [str(first_id_of(day)) for day in (today + timedelta(days=ID_DAY_MARGIN + 1), *ends)]
    return {
        "lows": "{" + ",".join(ids[1:]) + "}",
        "highs": "{" + ",".join(ids[:-1]) + "}",
        "lowest": ids[-1],
        "highest": ids[0],
    }


@dataclass(frozen=True, slots=True)
class Known:
    """Who is behind an id that a list is asked for."""

    person: Person
    #: Opted out or erased: their lists are everybody's.
    suppressed: bool


# Who somebody is and what they did as a user: to wait for one statement is shorter than for two.
_PEOPLE = QuickRead(
    f"""
WITH known AS MATERIALIZED (
    SELECT number, asked.user_id, asked.anonymous_id,
        ARRAY(
            SELECT anonymous_id FROM (
                SELECT anonymous_id FROM identities WHERE user_id = asked.user_id
                ORDER BY linked_at DESC, anonymous_id LIMIT {LINKS_READ}
            ) AS newest
            WHERE NOT EXISTS (SELECT FROM suppressions WHERE digest =
                sha256(CAST(:anonymous_salt AS bytea) || convert_to(anonymous_id, 'UTF8')))
        ) AS linked,
        EXISTS (SELECT FROM suppressions WHERE digest IN (
            sha256(CAST(:user_salt AS bytea) || convert_to(asked.user_id, 'UTF8')),
            sha256(CAST(:anonymous_salt AS bytea) || convert_to(asked.anonymous_id, 'UTF8')))
        ) AS suppressed
    FROM (
        SELECT wish.number, wish.anonymous_id, coalesce(wish.user_id, link.user_id) AS user_id
        FROM unnest(CAST(:numbers AS int[]), CAST(:users AS text[]), CAST(:anonymous AS text[]))
            AS wish(number, user_id, anonymous_id)
        LEFT JOIN identities AS link
            ON wish.user_id IS NULL AND link.anonymous_id = wish.anonymous_id
    ) AS asked
), theirs AS (
    SELECT DISTINCT user_id AS person FROM known WHERE user_id IS NOT NULL AND NOT suppressed
)
SELECT number, user_id, anonymous_id, linked, suppressed,
    CAST(NULL AS text), CAST(NULL AS float8), CAST(NULL AS float8), CAST(NULL AS boolean)
FROM known
UNION ALL
SELECT NULL, line.person, NULL, NULL, NULL, line.product_id, line.weight, line.age_s, line.bought
FROM ({_lines_of("user_id", people="theirs")}) AS line(person, product_id, weight, age_s, bought)"""
)


def read_people(
    connection: Connection,
    asked: Mapping[int, tuple[str | None, str | None]],
    *,
    salts: Mapping[str, bytes] | None,
    now: datetime,
    days: int = HISTORY_DAYS,
) -> tuple[dict[int, Known], dict[str, list[Line]]]:
    """Find the people behind some (user_id, anonymous_id), with the newest ids linked to them.

    Linked ids that are suppressed themselves are none of theirs. Beside the people stands what
    those of them who are users did with products in the last days, for `read_histories`.

    `salts` are those of `Salts.as_parameters`; without them nobody can be suppressed.
    """
    if not asked:
        return {}, {}
    rows = _PEOPLE.rows(
        connection,
        numbers=list(asked),
        users=[user_id for user_id, _ in asked.values()],
        anonymous=[anonymous_id for _, anonymous_id in asked.values()],
        user_salt=salts["user_salt"] if salts else None,
        anonymous_salt=salts["anonymous_salt"] if salts else None,
        **_bounds(now, days),
    )
    known: dict[int, Known] = {}
    lines: dict[str, list[Line]] = defaultdict(list)
    for number, user_id, anonymous_id, linked, suppressed, *line in rows:
        if number is None:
            lines[user_id].append(Line(*line))
            continue
        person = Person(user_id, tuple({*linked, *([anonymous_id] if anonymous_id else [])}))
        known[number] = Known(person, suppressed)
        if user_id is not None:
            lines.setdefault(user_id, [])
    return known, lines
