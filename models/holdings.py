"""Everything that is held about one person: counted, and given line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

import msgspec
import redis
from sqlalchemy import ColumnElement, Engine, func, select, text
from sqlalchemy.orm import Session

import inbox
from inbox import Batch
from models.dead_letters import DeadLetter
from models.identities import IdentityLink
from models.person import Found, Person, Search
from models.suppressions import Salts, read_reasons
from spool import Spool

_ROWS = 500


def count_held(
    session: Session, client: redis.Redis, person: Person, *, spool: Spool | None = None
) -> dict[str, int]:
    """Count what is held about a person, by kind. What waits in `spool` counts as the inbox's."""
    events = [
        session.scalar(text(f"SELECT count(*) FROM events WHERE {condition}"), parameters)
        for condition, parameters in person.conditions()
    ]
    links = select(func.count()).select_from(IdentityLink).where(names_person(person))
    return {
        "events": sum(filter(None, events)),
        "identities": session.scalar(links) or 0,
        "dead_letters": len({event_id for event_id, _ in find_dead_letters(session, person)}),
        "inbox": sum(len(found.all) for _, found in find_waiting(client, person, spool)),
    }


def names_person(person: Person) -> ColumnElement[bool]:
    """Write the condition on the links that name a person."""
    if person.user_id is None:
        return IdentityLink.anonymous_id.in_(person.anonymous_ids)
    # Another user's link to a shared device is that user's.
    return IdentityLink.user_id == person.user_id


def find_dead_letters(session: Session, person: Person) -> Iterator[tuple[UUID, str]]:
    """Give what dead letters hold of the person, by reading each: twice where one was edited."""
    search = Search(person)
    statement = select(DeadLetter.event_id, DeadLetter.event, DeadLetter.original)
    for event_id, *texts in session.execute(statement.execution_options(yield_per=_ROWS)):
        for held in texts:
            if held is not None and search.part(held.encode()).all:
                yield event_id, held


def find_waiting(
    client: redis.Redis, person: Person, spool: Spool | None
) -> Iterator[tuple[Batch, Found]]:
    """Give what `find_in_spool` and `find_batches` give."""
    if spool is not None:
        yield from find_in_spool(spool, person)
    yield from find_batches(client, person)


def find_in_spool(spool: Spool, person: Person) -> Iterator[tuple[Batch, Found]]:
    """Give the batches of a spool that hold something of the person's. Raises SpoolError."""
    return _search(spool.scan(), person)


def find_batches(client: redis.Redis, person: Person) -> Iterator[tuple[Batch, Found]]:
    """Give the batches of the inbox that hold something of the person's, and what that is."""
    return _search(inbox.scan(client), person)


def _search(batches: Iterable[Batch], person: Person) -> Iterator[tuple[Batch, Found]]:
    search = Search(person)
    for batch in batches:
        found = search.part(batch.body)
        if found.all:
            yield batch, found


def stream_held(
    engine: Engine,
    client: redis.Redis,
    person: Person,
    *,
    salts: Salts | None,
    spool: Spool | None = None,
) -> Iterator[bytes]:
    """Give all that is held about a person as NDJSON, in constant memory: one thing a line."""
    with Session(engine) as session:
        for link in session.scalars(select(IdentityLink).where(names_person(person))):
            yield _line(
                "identity",
                {
                    "anonymous_id": link.anonymous_id,
                    "user_id": link.user_id,
                    "linked_at": link.linked_at,
                },
            )
        if salts is not None:
            digests = salts.digests(person.user_id, person.anonymous_ids)
            for digest, reason in sorted(read_reasons(session, digests).items()):
                yield _line("suppression", {"id_kind": digests[digest], "reason": reason})
        for event_id, event in find_dead_letters(session, person):
            yield _line("dead_letter", {"event_id": event_id, "event": event})
        for batch, found in find_waiting(client, person, spool):
            for raw in found.all:
                yield _line("waiting", {"entry_id": batch.entry_id, "event": raw})
        for condition, parameters in person.conditions():
            yield from _stream_events(session, condition, parameters)


def _stream_events(session: Session, condition: str, parameters: dict[str, Any]) -> Iterator[bytes]:
    # The database writes the JSON: read and written again, numbers would lose digits.
    rows = session.execute(
        text(
            f"SELECT CAST(row_to_json(events) AS text) FROM events WHERE {condition} "
            "ORDER BY event_id"
        ).execution_options(yield_per=_ROWS),
        parameters,
    ).scalars()
    for row in rows:
        yield b'{"kind":"event",' + row.encode()[1:] + b"\n"


def _line(kind: str, fields: dict[str, Any]) -> bytes:
    # JSON that a client wrote may go over several lines.
    return msgspec.json.encode({"kind": kind, **fields}).replace(b"\n", b" ") + b"\n"
