"""The inbox: a Redis Stream that records what was accepted until it is stored.

One entry is one batch. A consumer group hands entries out; an entry leaves the stream only after
the transaction that stored it has been committed. So each batch is delivered at least once, and
event ids make the effect exactly-once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.retry import Retry

from door_counts import add_up, record
from fail_points import fail_point
from quick_commands import QuickCommands

STREAM = "millrace:inbox"
GROUP = "drain"
TOTALS = "millrace:totals"
#: Set while a drain is asked for: the door sets it, the worker takes it away.
BELL = "millrace:bell"


@dataclass(frozen=True, slots=True)
class Batch:
    """One entry of the inbox: the events of one request, as the JSON that the store reads."""

    entry_id: str
    events: int
    days: tuple[date, ...]
    body: bytes
    #: What its door made of the request, rejected events too, as `door_counts` reads it.
    counts: str = ""
    #: Only tries out the way: see `canary`.
    canary: bool = False


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits in the inbox. `pending` batches were taken and not yet stored."""

    batches: int
    pending: int
    size_bytes: int
    oldest_age_s: float


def connect(url: str, *, timeout_s: float | None = None) -> redis.Redis:
    """Make a client with a connection pool.

    A connection that turns out to be closed is opened anew once; a server that does not answer
    within `timeout_s` is an error at once, since trying again would double the wait.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )


def put(
    client: redis.Redis | QuickCommands,
    body: bytes,
    *,
    events: int,
    days: Sequence[date],
    counts: str = "",
    canary: bool = False,
) -> None:
    """Append a batch. When this returns, the batch is accepted."""
    fields: list[Any] = ["n", events, "d", ",".join(map(str, days)), "b", body]
    if counts:
        fields += ["c", counts]
    if canary:
        fields += ["k", 1]
    client.execute_command("XADD", STREAM, "*", *fields)


def ensure_group(client: redis.Redis) -> None:
    """Make the stream and its consumer group, from the first entry on, unless they exist."""
    try:
        client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


def take(client: redis.Redis, consumer: str, *, count: int) -> list[Batch]:
    """Take up to `count` batches that nobody has taken."""
    return _read(client, consumer, ">", count)


def take_own(client: redis.Redis, consumer: str, *, count: int, after: str = "0") -> list[Batch]:
    """Take again what this consumer took and did not finish, oldest first, behind `after`."""
    return _read(client, consumer, after, count)


def reclaim(
    client: redis.Redis, consumer: str, *, idle_s: float, count: int, after: str = "0-0"
) -> list[Batch]:
    """Take over batches that a consumer has held for longer than `idle_s`, behind `after`."""
    start: Any = "(" + after
    entries: Any = []
    # The server looks at so many entries at a time, and may find none of them idle.
    while not entries and start != b"0-0":
        start, entries, *_ = client.xautoclaim(
            STREAM, GROUP, consumer, min_idle_time=int(idle_s * 1000), start_id=start, count=count
        )
    return [_batch(*entry) for entry in entries]


def read_deliveries(client: redis.Redis, consumer: str, batches: Sequence[Batch]) -> dict[str, int]:
    """Tell how often each of some batches was taken, which follow each other in the inbox."""
    if not batches:
        return {}
    first, last = batches[0].entry_id, batches[-1].entry_id
    found: Any = client.xpending_range(
        STREAM, GROUP, min=first, max=last, count=10_000, consumername=consumer
    )
    return {item["message_id"].decode(): item["times_delivered"] for item in found}


def forgive(client: redis.Redis, consumer: str, batches: Sequence[Batch]) -> None:
    """Forget how often batches were taken: it was not their fault that they were not stored."""
    ids: Any = [batch.entry_id for batch in batches]
    client.xclaim(STREAM, GROUP, consumer, 0, ids, retrycount=0, justid=True)


def done(client: redis.Redis, batches: Sequence[Batch], *, totals: dict[str, int]) -> None:
    """Take stored batches out of the stream and add to the running totals, the doors' too.

    Call it after the commit. Should it not happen, the batches come again and are found stored.
    """
    if not batches:
        return
    ids = [batch.entry_id for batch in batches]
    counts = add_up(batch.counts for batch in batches)
    with client.pipeline(transaction=True) as pipe:
        pipe.xack(STREAM, GROUP, *ids)
        pipe.xdel(STREAM, *ids)
        for name, amount in totals.items():
            if amount:
                pipe.hincrby(TOTALS, name, amount)
        record(pipe, counts)
        fail_point("drain.before_done")
        pipe.execute()


def scan(client: redis.Redis, *, count: int = 20) -> Iterator[Batch]:
    """Give every batch that is in the inbox now, oldest first, also those somebody has taken.

    What comes in meanwhile is left out: it may come faster than anybody reads.
    """
    newest: Any = client.xrevrange(STREAM, count=1)
    start = "-"
    while newest:
        entries: Any = client.xrange(STREAM, min=start, max=newest[0][0], count=count)
        if not entries:
            return
        yield from (_batch(*entry) for entry in entries)
        start = "(" + entries[-1][0].decode()


def rewrite(client: redis.Redis, batch: Batch, body: bytes | None, *, taken: int) -> bool:
    """Put a batch without `taken` of its events in the place of another; None takes it all out.

    False when the old one was gone already: then nothing changes. Whoever is at it now stores it
    too: the new one is then found stored.
    """
    with client.pipeline(transaction=True) as pipe:
        if body is not None:
            events = batch.events - taken
            put(pipe, body, events=events, days=batch.days, counts=batch.counts)
        pipe.xack(STREAM, GROUP, batch.entry_id)
        pipe.xdel(STREAM, batch.entry_id)
        *added, _, was_there = pipe.execute()
    if was_there:
        client.hincrby(TOTALS, "refused", taken)
        if body is None:
            record(client, add_up([batch.counts]))
    elif added:
        client.xdel(STREAM, *added)
    return bool(was_there)


def count_refused(client: redis.Redis, events: int) -> None:
    """Count accepted events that were taken out before they came into the inbox."""
    client.hincrby(TOTALS, "refused", events)


def forget_idle_consumers(client: redis.Redis, *, idle_s: float) -> int:
    """Remove consumers that hold nothing and have been silent; give how many.

    Each worker process is a consumer of its own, so restarts would pile them up.
    """
    consumers: Any = client.xinfo_consumers(STREAM, GROUP)
    gone = [item for item in consumers if item["pending"] == 0 and item["idle"] > idle_s * 1000]
    for item in gone:
        client.xgroup_delconsumer(STREAM, GROUP, item["name"])
    return len(gone)


def read_depth(client: redis.Redis) -> Depth:
    """Measure the inbox."""
    with client.pipeline(transaction=False) as pipe:
        pipe.xlen(STREAM)
        pipe.memory_usage(STREAM, samples=5)
        pipe.xrange(STREAM, count=1)
        pipe.xpending(STREAM, GROUP)
        pipe.time()
        length, size, first, pending, now = pipe.execute(raise_on_error=False)
    age_s = 0.0
    if first:
        added_ms = int(first[0][0].split(b"-")[0])
        age_s = max(0.0, now[0] + now[1] / 1e6 - added_ms / 1000)
    held = 0 if isinstance(pending, ResponseError) else int(pending["pending"])
    return Depth(batches=int(length), pending=held, size_bytes=int(size or 0), oldest_age_s=age_s)


def read_room(client: redis.Redis, *, max_bytes: int) -> float:
    """Give how full the inbox is, 1 being full.

    Full is `max_bytes`, or four fifths of the memory the server may use: at its
    limit it refuses Celery's writes too, and the workers would fail with it.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.memory_usage(STREAM, samples=5)
        pipe.info("memory")
        size, memory = pipe.execute()
    limit = int(memory.get("maxmemory", 0))
    of_server = int(memory["used_memory"]) / (limit * 0.8) if limit else 0.0
    return max(int(size or 0) / max_bytes, of_server)


def read_totals(client: redis.Redis) -> dict[str, int]:
    """Give the running totals of the workers: stored, duplicate, conflicting, dead, …"""
    found: Any = client.hgetall(TOTALS)
    return {name.decode(): int(value) for name, value in found.items()}


def read_policy(client: redis.Redis) -> str:
    """Give the server's eviction policy. Only `noeviction` never drops accepted events."""
    return str(client.info("memory").get("maxmemory_policy", "unknown"))


def _read(client: redis.Redis, consumer: str, start: str, count: int) -> list[Batch]:
    answer: Any = client.xreadgroup(GROUP, consumer, {STREAM: start}, count=count)
    if not answer:
        return []
    entries = answer[0][1] if isinstance(answer, list) else next(iter(answer.values()))
    return [_batch(*entry) for entry in entries]


def _batch(entry_id: bytes, fields: dict[bytes, bytes] | None) -> Batch:
    # An entry that was deleted while somebody held it comes back without fields.
    fields = fields or {b"n": b"0", b"d": b"", b"b": b'{"events":[]}'}
    days = fields[b"d"].decode()
    return Batch(
        entry_id=entry_id.decode(),
        events=int(fields[b"n"]),
        days=tuple(date.fromisoformat(day) for day in days.split(",")) if days else (),
        body=fields[b"b"],
        counts=fields.get(b"c", b"").decode(),
        canary=b"k" in fields,
    )
