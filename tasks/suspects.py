"""Batches that were taken again and again: stored last, apart, and none of them for ever.

A batch comes again when its worker died with it or the database gave it up. Mostly another one of
its transaction was to blame, or nobody: when workers are killed for a while, hundreds of good ones
are suspects. So they are tried once in small companies; what does not end well there is tried by
itself, then its events one by one. Redis keeps what was begun: an event that was begun MOST_TRIES
times and never brought to an end becomes a dead letter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from sqlalchemy.exc import DBAPIError

import inbox
from inbox import Batch
from models.suppressions import SecretKeyMissingError
from tasks.bodies import split_bodies, without_events
from tasks.store import StoreResult, is_away

log = structlog.get_logger()

#: So often a batch is taken together with others.
MOST_DELIVERIES = 3
#: So many of them are tried together, once.
COMPANY = 50
#: So often an event is tried by itself.
MOST_TRIES = 3
_KEPT_S = 86_400
_WHOLE, _COMPANY = "whole", "company"

Store = Callable[[bytes], StoreResult]
Bury = Callable[[bytes, str], StoreResult]


def set_aside(
    client: redis.Redis, consumer: str, batches: list[Batch], suspects: dict[str, Batch]
) -> list[Batch]:
    """Move the batches that were taken too often to the suspects; give the others."""
    taken = inbox.read_deliveries(client, consumer, batches)
    often = [batch for batch in batches if taken.get(batch.entry_id, 0) > MOST_DELIVERIES]
    suspects.update((batch.entry_id, batch) for batch in often)
    return [batch for batch in batches if batch.entry_id not in suspects]


def part_companies(
    client: redis.Redis, suspects: Sequence[Batch]
) -> tuple[list[list[Batch]], list[Batch]]:
    """Part suspects into companies that were not tried yet, and those to be tried by themselves."""
    with client.pipeline(transaction=False) as pipe:
        for batch in suspects:
            pipe.hexists(_key_of(batch), _COMPANY)
        tried = pipe.execute()
    new = [batch for batch, was_tried in zip(suspects, tried, strict=True) if not was_tried]
    alone = [batch for batch, was_tried in zip(suspects, tried, strict=True) if was_tried]
    return [new[start : start + COMPANY] for start in range(0, len(new), COMPANY)], alone


def note_company(client: redis.Redis, company: Sequence[Batch]) -> None:
    """Note that a company is about to be tried: if that kills us, each comes alone."""
    with client.pipeline(transaction=True) as pipe:
        for batch in company:
            pipe.hset(_key_of(batch), _COMPANY, 1)
            pipe.expire(_key_of(batch), _KEPT_S)
        pipe.execute()


def forget_company(client: redis.Redis, company: Sequence[Batch]) -> None:
    """Forget that a company was tried: it is stored, or nobody of it is to blame."""
    client.delete(*(_key_of(batch) for batch in company))


@dataclass(frozen=True, slots=True)
class Trial:
    """The trial of one batch. Only one process at a time may hold trials.

    `store` and `bury` take a body and commit; `bury` is told why, too.
    """

    client: redis.Redis
    batch: Batch
    store: Store
    bury: Bury

    def hold(self) -> StoreResult | None:
        """Store the batch, or of its events all but the bad ones; None when some are open yet.

        Raises what says that the database is away: that is nobody's fault, and not counted.
        """
        tries = self._read()
        if not tries.get(_WHOLE) and (result := self._try(_WHOLE, self.batch.body)):
            return result
        total, is_open = self.store(without_events(self.batch.body)), False
        for number, single in enumerate(split_bodies([self.batch.body])):
            name = str(number)
            if tries.get(name, 0) >= MOST_TRIES:
                total.add(self.bury(single, f"tried {MOST_TRIES} times, and never came to an end"))
            elif result := self._try(name, single):
                total.add(result)
            else:
                is_open = True
        return None if is_open else total

    def close(self) -> None:
        """Forget what was tried."""
        self.client.delete(self._key)

    def _try(self, name: str, body: bytes) -> StoreResult | None:
        """Store a body, noting that before it is begun; None when the database gave it up."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.hincrby(self._key, name, 1)
            pipe.expire(self._key, _KEPT_S)
            pipe.execute()
        try:
            result = self.store(body)
        except (DBAPIError, SecretKeyMissingError) as error:
            if isinstance(error, DBAPIError) and not is_away(error):
                log.warning("suspect_failed", entry_id=self.batch.entry_id, part=name)
                return None
            self.client.hincrby(self._key, name, -1)
            raise
        self.client.hdel(self._key, name)
        return result

    def _read(self) -> dict[str, int]:
        found: Any = self.client.hgetall(self._key)
        return {name.decode(): int(times) for name, times in found.items()}

    @property
    def _key(self) -> str:
        return _key_of(self.batch)


def _key_of(batch: Batch) -> str:
    return f"millrace:tries:{batch.entry_id}"
