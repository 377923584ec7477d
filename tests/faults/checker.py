"""Compare what the client was told with what is stored."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import inbox
from models.invariants import Invariant, check_invariants
from tasks.aggregate import aggregate_dirty
from tests.faults.recorder import Recorder


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
    broken: tuple[Invariant, ...]

    @property
    def ok(self) -> bool:
        """Tell whether every promise was kept."""
        return not (self.lost or self.twice or self.broken)

    def __str__(self) -> str:
        broken = ", ".join(f"{item.id} BROKEN ({item.figure})" for item in self.broken)
        return (
            f"events in {self.accepted:,}, stored {self.stored:,}, dead {self.dead:,}, "
            f"lost {self.lost:,}, twice {self.twice:,}, without an answer {self.unanswered:,} "
            f"(stored {self.late:,}), {broken or 'invariants hold'}"
        )


def wait_until_empty(client: redis.Redis, *, within_s: float = 40.0) -> float:
    """Wait until nothing waits in the inbox; give the seconds it took."""
    began = time.monotonic()
    while True:
        try:
            if not client.xlen(inbox.STREAM):
                return time.monotonic() - began
        except redis.exceptions.RedisError:
            pass
        if time.monotonic() - began > within_s:
            raise AssertionError(f"the inbox did not empty in {within_s:.0f} s")
        time.sleep(0.05)


def check(recorder: Recorder, engine: Engine, client: redis.Redis, *, zone: str = "UTC") -> Verdict:
    """Count a log against the tables, then aggregate and check the invariants of the whole."""
    sent: set[str] = set()
    accepted: set[str] = set()
    for ids, _, answer in recorder.read():
        sent.update(ids)
        if isinstance(answer, int) and 200 <= answer < 300:
            accepted.update(ids)
    with Session(engine) as session:
        events = _count_by_id(session, "events")
        letters = _count_by_id(session, "dead_letters")
    aggregate_dirty(engine, zone=zone, now=datetime.now(UTC))
    broken = [item for item in check_invariants(engine, client, zone=zone) if not item.ok]
    return Verdict(
        sent=len(sent),
        accepted=len(accepted),
        stored=len(accepted & events.keys()),
        dead=len(accepted & letters.keys()),
        lost=len(accepted - events.keys() - letters.keys()),
        twice=_count_twice(sent, events, letters),
        unanswered=len(sent - accepted),
        late=len((sent - accepted) & events.keys()),
        broken=tuple(broken),
    )


def _count_by_id(session: Session, table: str) -> dict[str, int]:
    rows = session.execute(text(f"SELECT event_id::text, count(*) FROM {table} GROUP BY event_id"))
    return {event_id: int(count) for event_id, count in rows}


def _count_twice(ids: Iterable[str], events: dict[str, int], letters: dict[str, int]) -> int:
    return sum(events.get(item, 0) + letters.get(item, 0) > 1 for item in ids)
