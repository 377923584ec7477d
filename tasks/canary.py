"""Send the canary, and try out the way into the tables with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
import redis
import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

import inbox
from canary import Canary, record_arrival
from inbox import Batch
from intake.request import encode_batch, read_request
from intake.rows import Rules, Sender
from models.database import transaction
from models.partitions import ensure_partitions, lock_for_store
from models.store import store_batches
from models.store_lines import AlreadyStoredError, copy_lines, read_batches

log = structlog.get_logger()

_EVENT = orjson.dumps({"event_type": "canary"})
_RULES = Rules(max_event_bytes=2048, max_batch_events=1, retention_days=365)


class CanaryLost(Exception):
    """The database took the canary and did not store it."""


def send_canary(client: redis.Redis, *, now: datetime) -> None:
    """Judge an event as a door does and put it into the inbox, where no door counts it."""
    sender = Sender(received_ms=int(now.timestamp() * 1000), excluded="canary")
    reading = read_request(_EVENT, sender=sender, rules=_RULES)
    body = encode_batch(reading.rows, sender=sender)
    inbox.put(client, body, events=0, days=reading.days, canary=True)


def take_out_canaries(
    engine: Engine, client: redis.Redis, batches: Sequence[Batch], *, zone: str
) -> list[Batch]:
    """Try out the tables with the canaries among some batches; give the other batches.

    Those that cannot be stored are dropped, whatever the reason: the age of the last one tells.
    """
    canaries = [batch for batch in batches if batch.canary]
    if not canaries:
        return list(batches)
    newest = canaries[-1]
    try:
        try_out(engine, newest, zone=zone)
    except (SQLAlchemyError, AlreadyStoredError, CanaryLost) as error:
        reason = str(getattr(error, "orig", error))
        log.error("canary_lost", error=reason.partition("\n")[0])
    else:
        sent_s = int(newest.entry_id.partition("-")[0]) / 1000
        record_arrival(client, Canary(sent_s, datetime.now(UTC).timestamp()))
    inbox.done(client, canaries, totals={})
    return [batch for batch in batches if not batch.canary]


def try_out(engine: Engine, batch: Batch, *, zone: str) -> None:
    """Store a batch as any other, see it, take it back, and commit that nothing was done.

    So no list, export, count or aggregate ever holds it. The transaction is given a number: its
    end is written to the disk as that of a store is.
    """
    with transaction(engine) as session:
        ensure_partitions(session, set(batch.days))
    with transaction(engine) as session:
        lock_for_store(session, within_s=30.0)
        session.execute(text("SELECT pg_current_xact_id()"))
        attempt = session.begin_nested()
        # The usual way; an entry that waited at an upgrade is not written in lines.
        lines = read_batches([batch.body])
        if lines is not None:
            stored = copy_lines(session, lines, zone=zone)
        else:
            stored = store_batches(session, [batch.body], zone=zone).stored
        attempt.rollback()
    if stored != 1:
        raise CanaryLost(f"{stored} events were stored, not 1")
