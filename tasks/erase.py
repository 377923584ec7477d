"""Erase a person: what is held goes, and what still comes is refused.

The request has committed the tombstones already. Each step can be run again, and a crash leaves a
state from which the next run goes on: what was deleted is counted in the transaction that did it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import redis
import structlog
from sqlalchemy import Engine, delete, text

import inbox
from fail_points import fail_point
from models.database import transaction
from models.erasures import DONE, Erasure, count_up, finish, widen
from models.holdings import find_batches, find_dead_letters, find_in_spool, names_person
from models.identities import DirtyIdentity, IdentityLink
from models.job_runs import lock_job
from models.partitions import lock_for_purge, lock_for_removal
from models.person import Person
from models.removal import CHUNK, remove_events
from models.suppressions import Salts
from spool import Spool, SpoolError

log = structlog.get_logger()

Tell = Callable[[str, int], None]


def erase(
    engine: Engine,
    client: redis.Redis,
    erasure_id: UUID,
    *,
    secret_key: str,
    zone: str,
    clock: Callable[[], datetime],
    tell: Tell = lambda kind, amount: None,
    chunk: int = CHUNK,
    spool: Spool | None = None,
) -> bool:
    """Carry out a requested erasure; `tell(kind, amount)` hears of each part that is deleted.

    `spool` is that of this machine. What waits in others is refused by whoever stores it.

    True when it is finished, now or before; False when another process is at it.
    """
    with transaction(engine) as guard:
        if not lock_job(guard, f"erase:{erasure_id}"):
            return False
        person = _close_the_doors(engine, erasure_id, Salts.of(secret_key))
        if person is None:
            return True
        _remove_events(engine, erasure_id, person, zone=zone, tell=tell, chunk=chunk)
        _remove_links(engine, erasure_id, person, tell=tell)
        _remove_dead_letters(engine, erasure_id, person, tell=tell)
        if spool is not None:
            # Before the inbox: what is fed meanwhile is found there.
            _remove_spooled(engine, client, erasure_id, person, spool, tell=tell)
        _remove_waiting(engine, client, erasure_id, person, tell=tell)
        with transaction(engine) as session:
            done = finish(session, erasure_id, secret_key=secret_key, now=clock())
    log.info("erasure_done", erasure_id=str(erasure_id), **(done.counts or {}))
    return True


def _close_the_doors(engine: Engine, erasure_id: UUID, salts: Salts) -> Person | None:
    """Wait for the stores that did not see the tombstones, and catch what they linked.

    Give the person, None when the erasure is finished. From here on nothing of theirs is stored.
    """
    with transaction(engine) as session:
        lock_for_purge(session)
        erasure = session.get_one(Erasure, erasure_id)
        if erasure.status == DONE or erasure.subject is None:
            return None
        person = widen(session, erasure, salts, Person.from_dict(erasure.subject))
        erasure.status = "running"
        fail_point("erase.tombstone")
        return person


def _remove_events(
    engine: Engine, erasure_id: UUID, person: Person, *, zone: str, tell: Tell, chunk: int
) -> None:
    for condition, parameters in person.conditions():
        removed = chunk
        while removed == chunk:
            with transaction(engine) as session:
                # A purge must not count what is being deleted here.
                lock_for_removal(session)
                removed = remove_events(session, condition, parameters, zone=zone, limit=chunk)
                count_up(session, erasure_id, "events", removed)
                fail_point("erase.table")
            tell("events", removed)


def _remove_links(engine: Engine, erasure_id: UUID, person: Person, *, tell: Tell) -> None:
    """Delete the links. The events that they spoke for are gone, so no day changes."""
    with transaction(engine) as session:
        gone = session.scalars(
            delete(IdentityLink).where(names_person(person)).returning(IdentityLink.anonymous_id)
        ).all()
        session.execute(
            delete(DirtyIdentity).where(
                DirtyIdentity.anonymous_id.in_({*gone, *person.anonymous_ids})
            )
        )
        count_up(session, erasure_id, "identities", len(gone))
    tell("identities", len(gone))


def _remove_dead_letters(engine: Engine, erasure_id: UUID, person: Person, *, tell: Tell) -> None:
    with transaction(engine) as session:
        ids = sorted({event_id for event_id, _ in find_dead_letters(session, person)})
        session.execute(text("DELETE FROM dead_letters WHERE event_id = ANY(:ids)"), {"ids": ids})
        count_up(session, erasure_id, "dead_letters", len(ids))
    tell("dead_letters", len(ids))


def _remove_spooled(
    engine: Engine,
    client: redis.Redis,
    erasure_id: UUID,
    person: Person,
    spool: Spool,
    *,
    tell: Tell,
) -> None:
    """Take the person's events out of the spool; they count as those of the inbox."""
    try:
        with spool.taking(wait=True):
            for batch, found in find_in_spool(spool, person):
                spool.rewrite(batch, found.rest, taken=len(found.events))
                inbox.count_refused(client, len(found.events))
                with transaction(engine) as session:
                    count_up(session, erasure_id, "inbox", len(found.all))
                tell("inbox", len(found.all))
    except SpoolError as error:
        # Nobody can feed from it either, and after its repair the tombstone refuses what it holds.
        log.warning("spool_not_searched", erasure_id=str(erasure_id), detail=str(error))


def _remove_waiting(
    engine: Engine, client: redis.Redis, erasure_id: UUID, person: Person, *, tell: Tell
) -> None:
    """Take the person's events out of the inbox. A worker's own copy is refused by it."""
    again = True
    while again:
        again = False
        for batch, found in find_batches(client, person):
            if not inbox.rewrite(client, batch, found.rest, taken=len(found.events)):
                # Stored by now, or another erasure has put what is left of it at the end.
                again = True
                continue
            with transaction(engine) as session:
                count_up(session, erasure_id, "inbox", len(found.all))
            tell("inbox", len(found.all))
    with transaction(engine) as session:
        count_up(session, erasure_id, "inbox", 0)
