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
from sqlalchemy.exc import DBAPIError

import inbox
from door_counts import add_up
from fail_points import fail_point
from inbox import Batch
from models.database import transaction
from models.job_runs import lock_job
from tasks.bodies import days_of_bodies, split_bodies
from tasks.canary import take_out_canaries
from tasks.store import StoreResult, bury_body, is_away, store_bodies
from tasks.suspects import (
    Trial,
    forget_company,
    note_company,
    part_companies,
    set_aside,
)

log = structlog.get_logger()

#: Batches that are taken at first. Once their size is known, as many as make a transaction.
TAKE, MOST_TAKEN = 50, 1000
#: What a worker holds of them in memory.
TAKEN_BYTES = 16_000_000
#: Rest between two takes that find little: a transaction costs as much as fifty events, and the
#: events that come in meanwhile share the next one.
PAUSE_S = 0.05


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
    max_rows: int = 20_000
    reclaim_s: float = 30.0
    #: How long one statement may take.
    within_s: float = 120.0
    known_days: set[date] = field(default_factory=set)

    def drain(
        self, *, limit_s: float = 20.0, clock: Callable[[], float] = time.monotonic
    ) -> StoreResult:
        """Store batches until the inbox is empty or the time is up.

        First what this process took before and did not finish, then what dead workers held, then
        what is new; last what was taken too often. Raises DBAPIError when the database is away: the
        batches stay pending. Those that it gives up for another reason stay too, and the others
        go on.
        """
        until = clock() + limit_s
        total = StoreResult()
        suspects: dict[str, Batch] = {}
        inbox.ensure_group(self.client)
        for batches in self._rounds(suspects):
            fail_point("drain.taken")
            batches = take_out_canaries(self.engine, self.client, batches, zone=self.zone)
            for group in group_by_rows(batches, self.max_rows):
                total.add(self._try_to_store(group))
            if clock() >= until:
                break
        aside = take_out_canaries(self.engine, self.client, list(suspects.values()), zone=self.zone)
        if aside:
            self._try_suspects(aside, total, until, clock)
        return total

    def store(self, batches: Sequence[Batch]) -> StoreResult:
        """Store some batches in one transaction, then take them out of the inbox."""
        bodies = [batch.body for batch in batches]
        days = {day for batch in batches for day in batch.days}
        fail_point("drain.before_store")
        result = store_bodies(
            self.engine,
            bodies,
            days,
            known_days=self.known_days,
            zone=self.zone,
            secret_key=self.secret_key,
            within_s=self.within_s,
        )
        fail_point("drain.committed")
        self._finish(batches, result)
        return result

    def _finish(self, batches: Sequence[Batch], result: StoreResult) -> None:
        inbox.done(self.client, batches, totals=result.as_dict())
        fail_point("drain.done")
        for counts in add_up(batch.counts for batch in batches):
            if counts.rejected:
                log.info(
                    "events_rejected",
                    door=counts.door,
                    received=counts.received,
                    quarantined=result.quarantined,
                    **counts.as_log(),
                )

    def _try_to_store(self, batches: Sequence[Batch]) -> StoreResult:
        try:
            return self.store(batches)
        except DBAPIError as error:
            if is_away(error):
                inbox.forgive(self.client, self.consumer, batches)
                raise
            # Perhaps one of them is at fault: they come again, the others need not wait.
            log.warning("store_failed", batches=len(batches), error=str(error.orig).split("\n")[0])
            return StoreResult()

    def _try_suspects(
        self,
        suspects: Sequence[Batch],
        total: StoreResult,
        until: float,
        clock: Callable[[], float],
    ) -> None:
        """Store them apart, at least one of them, unless another process is at that."""
        with transaction(self.engine) as guard:
            if not lock_job(guard, "suspects"):
                return
            companies, alone = part_companies(self.client, suspects)
            for company in companies:
                result = self._try_company(company)
                if result is None:
                    alone += company
                else:
                    total.add(result)
                if clock() >= until:
                    return
            for batch in alone:
                trial = Trial(self.client, batch, self._store_body, self._bury_body)
                result = trial.hold()
                if result is not None:
                    self._finish([batch], result)
                    trial.close()
                    total.add(result)
                if clock() >= until:
                    return

    def _try_company(self, company: Sequence[Batch]) -> StoreResult | None:
        """Store a company of suspects; None when the database gave it up."""
        note_company(self.client, company)
        try:
            result = self.store(company)
        except DBAPIError as error:
            if is_away(error):
                forget_company(self.client, company)
                raise
            return None
        forget_company(self.client, company)
        return result

    def _store_body(self, body: bytes) -> StoreResult:
        fail_point("drain.before_store")
        return store_bodies(
            self.engine,
            [body],
            days_of_bodies(split_bodies([body])),
            known_days=self.known_days,
            zone=self.zone,
            secret_key=self.secret_key,
            within_s=self.within_s,
        )

    def _bury_body(self, body: bytes, detail: str) -> StoreResult:
        return bury_body(self.engine, body, detail, secret_key=self.secret_key)

    def _rounds(self, suspects: dict[str, Batch]) -> Iterator[list[Batch]]:
        after = "0-0"
        while batches := inbox.take_own(self.client, self.consumer, count=TAKE, after=after):
            after = batches[-1].entry_id
            yield set_aside(self.client, self.consumer, batches, suspects)
        after = "0-0"
        while batches := inbox.reclaim(
            self.client, self.consumer, idle_s=self.reclaim_s, count=TAKE, after=after
        ):
            after = batches[-1].entry_id
            yield set_aside(self.client, self.consumer, batches, suspects)
        count = TAKE
        while batches := inbox.take(self.client, self.consumer, count=count):
            yield batches
            if len(batches) < count:
                time.sleep(PAUSE_S)
            count = count_to_take(batches, max_rows=self.max_rows)


def count_to_take(batches: Sequence[Batch], *, max_rows: int) -> int:
    """Say how many batches to take next if they are like these: about one transaction.

    Each transaction updates the counters of the products that it meets, so a large one is cheaper.
    """
    rows = sum(batch.events for batch in batches) or 1
    size_bytes = sum(len(batch.body) for batch in batches) or 1
    fitting = len(batches) * min(max_rows / rows, TAKEN_BYTES / size_bytes)
    return min(MOST_TAKEN, max(1, int(fitting)))


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
