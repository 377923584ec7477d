"""Compare what the client was told with what is stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import inbox
from models.invariants import Invariant, check_invariants
from tasks.aggregate import aggregate_dirty
from tasks.jobs import TIMETABLE, overdue
from tests.faults.recorder import Recorder

#: States of an id: never accepted, accepted, rejected.
UNKNOWN, ACCEPTED, REJECTED = "unknown", "accepted", "rejected"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the events of a log.

    `unanswered` never got a 2xx; of these `late` are stored all the same, which is allowed.
    """

    sent: int
    accepted: int
    stored: int
    dead: int
    lost: int
    twice: int
    unanswered: int
    late: int
    rejected: int
    broken: tuple[Invariant, ...]

    @property
    def ok(self) -> bool:
        """Tell whether every promise was kept."""
        return not (self.lost or self.twice or self.broken)

    def __str__(self) -> str:
        broken = ", ".join(f"{item.id} BROKEN ({item.figure})" for item in self.broken)
        return (
            f"events in {self.accepted:,}, stored {self.stored:,}, dead {self.dead:,}, "
            f"lost {self.lost:,}, twice {self.twice:,}, rejected {self.rejected:,}, "
            f"without an answer {self.unanswered:,} (stored {self.late:,}), "
            f"{broken or 'invariants hold'}"
        )


def wait_until_empty(
    client: redis.Redis,
    *,
    within_s: float = 120.0,
    waiting: Callable[[], int] = lambda: 0,
    meanwhile: Callable[[], object] = lambda: None,
) -> float:
    """Wait until nothing waits in the inbox, nor where `waiting` counts; give the seconds it took.

    `meanwhile` is what a supervisor does. Nobody else helps.
    """
    began = time.monotonic()
    while True:
        meanwhile()
        try:
            # First what comes before the inbox: from there it goes into it.
            if not waiting() and not client.xlen(inbox.STREAM):
                return time.monotonic() - began
        except redis.exceptions.RedisError:
            pass
        if time.monotonic() - began > within_s:
            raise AssertionError(f"I12: the inbox did not empty in {within_s:.0f} s")
        time.sleep(0.05)


def check(
    recorder: Recorder,
    engine: Engine,
    client: redis.Redis,
    *,
    zone: str = "UTC",
    secret_key: str = "",
    gone: Collection[str] = (),
) -> Verdict:
    """Count a log against the tables, then aggregate and check the invariants of the whole.

    `gone` are ids that a scenario has purged or erased on purpose: they need not be there.
    """
    states = read_states(recorder)
    for event_id in gone:
        states.pop(event_id, None)
    with Session(engine) as session:
        counts = _count(session, states)
    now = datetime.now(UTC)
    aggregate_dirty(engine, zone=zone, now=now)
    invariants = [
        _none_lost(counts),
        *check_invariants(engine, client, zone=zone, secret_key=secret_key),
        _no_leak(counts),
        _jobs_known(engine, now),
    ]
    return Verdict(
        sent=len(states),
        accepted=counts["accepted"],
        stored=counts["stored"],
        dead=counts["dead"],
        lost=counts["lost"],
        twice=counts["twice"],
        unanswered=counts["unanswered"],
        late=counts["late"],
        rejected=counts["rejected"],
        broken=tuple(item for item in invariants if not item.ok),
    )


def read_states(recorder: Recorder) -> dict[str, str]:
    """Give each id its state: whatever happened to later attempts, one acceptance counts."""
    states: dict[str, str] = {}
    for found in recorder.read():
        accepted = isinstance(found.answer, int) and 200 <= found.answer < 300
        for event_id in found.ids:
            if accepted:
                states[event_id] = ACCEPTED
            else:
                states.setdefault(event_id, UNKNOWN)
        # The door judges an event alike each time.
        states.update(dict.fromkeys(found.rejected, REJECTED))
    return states


def _count(session: Session, states: dict[str, str]) -> dict[str, int]:
    """Count in the database: there may be millions of events beside those of the log."""
    session.execute(text("CREATE TEMP TABLE told (event_id uuid, state text) ON COMMIT DROP"))
    driver: Any = session.connection().connection.driver_connection
    with driver.cursor().copy("COPY told FROM STDIN") as rows:
        for row in states.items():
            rows.write_row(row)
    session.execute(text("ANALYZE told"))
    found = session.execute(
        text(
            "WITH there AS (SELECT told.event_id, told.state, "
            "  count(*) FILTER (WHERE place = 'events') AS stored, "
            "  count(*) FILTER (WHERE place = 'dead') AS dead "
            "FROM told LEFT JOIN ("
            "  SELECT event_id, 'events' AS place FROM events "
            "  UNION ALL SELECT event_id, 'dead' FROM dead_letters"
            ") AS places USING (event_id) GROUP BY told.event_id, told.state) "
            "SELECT count(*) FILTER (WHERE state = 'accepted') AS accepted, "
            "count(*) FILTER (WHERE state = 'accepted' AND stored > 0) AS stored, "
            "count(*) FILTER (WHERE state = 'accepted' AND dead > 0) AS dead, "
            "count(*) FILTER (WHERE state = 'accepted' AND stored + dead = 0) AS lost, "
            "count(*) FILTER (WHERE stored + dead > 1) AS twice, "
            "count(*) FILTER (WHERE state = 'unknown') AS unanswered, "
            "count(*) FILTER (WHERE state = 'unknown' AND stored + dead > 0) AS late, "
            "count(*) FILTER (WHERE state = 'rejected') AS rejected, "
            "count(*) FILTER (WHERE state = 'rejected' AND stored > 0) AS leaked FROM there"
        )
    ).one()
    return {name: int(count) for name, count in found._mapping.items()}


def _none_lost(counts: dict[str, int]) -> Invariant:
    there = counts["stored"] + counts["dead"]
    return Invariant(
        "I1",
        "what was accepted is stored or a dead letter",
        not counts["lost"],
        f"{counts['accepted']:,} accepted, {there:,} there",
    )


def _no_leak(counts: dict[str, int]) -> Invariant:
    return Invariant(
        "I7",
        "what was rejected is not stored",
        not counts["leaked"],
        f"{counts['rejected']:,} rejected, {counts['leaked']:,} of them stored",
    )


def _jobs_known(engine: Engine, now: datetime) -> Invariant:
    """Check that no period of a job is lost from sight: it is done, or will be asked for again."""
    late = {due.job for due in overdue(engine, now=now)}
    with Session(engine) as session:
        rows = session.execute(text("SELECT job, period, status FROM job_runs")).all()
    done = {(row.job, row.period) for row in rows if row.status == "done"}
    unseen = [
        due.job
        for due in TIMETABLE
        if due.job not in late and (due.job, due.last_period(now)) not in done
    ]
    return Invariant(
        "I9",
        "each job's newest period is done, or will be asked for again",
        not unseen,
        f"{len(done):,} periods done, {len(late):,} jobs late; lost from sight: {unseen or 'none'}",
    )
