"""Drain the inbox: take batches, store them, take them out of the inbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import redis
import structlog
from redis.exceptions import ResponseError
from sqlalchemy import Engine

import inbox
from door_counts import add_up
from inbox import Batch
from tasks.store import StoreResult, store_bodies

log = structlog.get_logger()

TAKE = 50
#: Rest between two takes that find little: a transaction costs as much as fifty events, and the
#: events that come in meanwhile share the next one.
PAUSE_S = 0.02


@dataclass(slots=True)
class Drainer:
    """Drain the inbox on behalf of one worker process.

    `consumer` must be this process's own. The days whose partitions are known to exist are
    remembered, so that most transactions need not ask.
    """

    engine: Engine
    client: redis.Redis
    consumer: str
    zone: str = "UTC"
    secret_key: str = field(default="", repr=False)
    max_rows: int = 5000
    reclaim_s: float = 30.0
    known_days: set[date] = field(default_factory=set)

    def drain(
        self, *, limit_s: float = 20.0, clock: Callable[[], float] = time.monotonic
    ) -> StoreResult:
        """Store batches until the inbox is empty or the time is up.

        First what this process took before and did not finish, then what dead workers held, then
        what is new. Raises DBAPIError when the database is away: the batches stay pending.
        """
        until = clock() + limit_s
        total = StoreResult()
        inbox.ensure_group(self.client)
        for batches in self._rounds():
            for group in group_by_rows(batches, self.max_rows):
                total.add(self.store(group))
            if clock() >= until:
                break
        return total

    def store(self, batches: Sequence[Batch]) -> StoreResult:
        """Store some batches in one transaction, then take them out of the inbox."""
        bodies = [batch.body for batch in batches]
        days = {day for batch in batches for day in batch.days}
        result = store_bodies(
            self.engine,
            bodies,
            days,
            known_days=self.known_days,
            zone=self.zone,
            secret_key=self.secret_key,
        )
        inbox.done(self.client, batches, totals=result.as_dict())
        for counts in add_up(batch.counts for batch in batches):
            if counts.rejected:
                log.info(
                    "events_rejected",
                    door=counts.door,
                    received=counts.received,
                    quarantined=result.quarantined,
                    **counts.as_log(),
                )
        return result

    def _rounds(self) -> Iterator[list[Batch]]:
        while batches := inbox.take_own(self.client, self.consumer, count=TAKE):
            yield batches
        while batches := inbox.reclaim(
            self.client, self.consumer, idle_s=self.reclaim_s, count=TAKE
        ):
            yield batches
        while batches := inbox.take(self.client, self.consumer, count=TAKE):
            yield batches
            if len(batches) < TAKE:
                time.sleep(PAUSE_S)


def sweep(client: redis.Redis, *, idle_consumer_s: float = 3600.0) -> bool:
    """Tell whether the inbox needs a drain, and forget the consumers of processes long gone."""
    try:
        inbox.forget_idle_consumers(client, idle_s=idle_consumer_s)
    except ResponseError:
        inbox.ensure_group(client)
    return inbox.read_depth(client).batches > 0


def group_by_rows(batches: Sequence[Batch], max_rows: int) -> Iterator[list[Batch]]:
    """Split batches into groups of up to `max_rows` events; a larger batch stands alone."""
    group: list[Batch] = []
    rows = 0
    for batch in batches:
        if group and rows + batch.events > max_rows:
            yield group
            group, rows = [], 0
        group.append(batch)
        rows += batch.events
    if group:
        yield group
