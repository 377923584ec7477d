"""The inbox: batches are handed out, taken over from the dead, and leave when they are stored."""

from __future__ import annotations

from datetime import date

import redis

import inbox
from tasks.ingest import Drainer, sweep
from tests.builders import body_of

DAY = date(2026, 3, 15)


def put(client: redis.Redis, name: str = "batch") -> None:
    inbox.put(client, name.encode(), events=2, days=[DAY])


def names(batches: list[inbox.Batch]) -> list[str]:
    return [batch.body.decode() for batch in batches]


def test_a_batch_comes_out_as_it_was_put_in(redis_client: redis.Redis) -> None:
    inbox.put(redis_client, b"\x00\xff body", events=3, days=[DAY, date(2026, 3, 16)])

    (batch,) = inbox.take(redis_client, "one", count=10)

    assert (batch.body, batch.events) == (b"\x00\xff body", 3)
    assert batch.days == (DAY, date(2026, 3, 16))


def test_a_batch_without_dated_ids_has_no_days(redis_client: redis.Redis) -> None:
    inbox.put(redis_client, b"body", events=1, days=[])

    (batch,) = inbox.take(redis_client, "one", count=10)

    assert batch.days == ()


def test_batches_come_in_order_and_each_to_one_consumer(redis_client: redis.Redis) -> None:
    for name in "abc":
        put(redis_client, name)

    assert names(inbox.take(redis_client, "one", count=2)) == ["a", "b"]
    assert names(inbox.take(redis_client, "two", count=2)) == ["c"]
    assert inbox.take(redis_client, "one", count=2) == []


def test_what_was_put_before_the_group_was_made_is_handed_out(redis_client: redis.Redis) -> None:
    redis_client.delete(inbox.STREAM)
    put(redis_client)
    inbox.ensure_group(redis_client)
    inbox.ensure_group(redis_client)

    assert names(inbox.take(redis_client, "one", count=1)) == ["batch"]


def test_what_a_consumer_did_not_finish_comes_again_to_it(redis_client: redis.Redis) -> None:
    put(redis_client)
    inbox.take(redis_client, "one", count=1)

    assert names(inbox.take_own(redis_client, "one", count=1)) == ["batch"]
    assert inbox.take_own(redis_client, "two", count=1) == []


def test_a_dead_consumers_batches_are_taken_over(redis_client: redis.Redis) -> None:
    put(redis_client)
    inbox.take(redis_client, "dead", count=1)

    assert inbox.reclaim(redis_client, "heir", idle_s=3600, count=1) == []
    assert names(inbox.reclaim(redis_client, "heir", idle_s=0, count=1)) == ["batch"]
    assert inbox.take_own(redis_client, "dead", count=1) == []


def test_a_finished_batch_is_gone_and_counted(redis_client: redis.Redis) -> None:
    put(redis_client)
    batches = inbox.take(redis_client, "one", count=1)

    inbox.done(redis_client, batches, totals={"stored": 2, "dead": 0})
    inbox.done(redis_client, [], totals={"stored": 9})

    depth = inbox.read_depth(redis_client)
    assert (depth.batches, depth.pending, depth.oldest_age_s) == (0, 0, 0.0)
    assert inbox.read_totals(redis_client) == {"stored": 2}


def test_a_batch_deleted_while_it_was_held_does_no_harm(redis_client: redis.Redis) -> None:
    put(redis_client)
    (batch,) = inbox.take(redis_client, "one", count=1)
    redis_client.xdel(inbox.STREAM, batch.entry_id)

    (again,) = inbox.take_own(redis_client, "one", count=1)

    assert (again.events, again.body) == (0, b'{"events":[]}')


def test_the_depth_tells_what_waits_and_what_is_held(redis_client: redis.Redis) -> None:
    put(redis_client)
    put(redis_client)
    inbox.take(redis_client, "one", count=1)

    depth = inbox.read_depth(redis_client)

    assert (depth.batches, depth.pending) == (2, 1)
    assert depth.size_bytes > 0
    assert depth.oldest_age_s >= 0


def test_the_depth_of_a_missing_stream_is_zero(redis_client: redis.Redis) -> None:
    redis_client.delete(inbox.STREAM)

    assert inbox.read_depth(redis_client) == inbox.Depth(0, 0, 0, 0.0)


def test_room_is_measured_against_the_limit(redis_client: redis.Redis) -> None:
    put(redis_client, "x" * 10_000)

    assert inbox.read_room(redis_client, max_bytes=5_000) > 1
    assert inbox.read_room(redis_client, max_bytes=5_000_000) < 1


def test_the_embedded_server_never_evicts(redis_client: redis.Redis) -> None:
    assert inbox.read_policy(redis_client) == "noeviction"


def test_consumers_long_gone_are_forgotten_unless_they_hold_something(
    redis_client: redis.Redis,
) -> None:
    put(redis_client)
    inbox.take(redis_client, "holder", count=1)
    inbox.take(redis_client, "idle", count=1)

    assert inbox.forget_idle_consumers(redis_client, idle_s=3600) == 0
    assert inbox.forget_idle_consumers(redis_client, idle_s=-1) == 1
    assert [c["name"] for c in redis_client.xinfo_consumers(inbox.STREAM, inbox.GROUP)] == [
        b"holder"
    ]


def test_a_batch_is_rewritten_while_it_is_there_and_not_put_back_when_it_is_done(
    redis_client: redis.Redis,
) -> None:
    put(redis_client, "whole")
    [batch] = inbox.take(redis_client, "one", count=1)

    rewritten = inbox.rewrite(redis_client, batch, b"part", taken=1)
    again = inbox.rewrite(redis_client, batch, b"part", taken=1)

    assert (rewritten, again) == (True, False)
    assert names(list(inbox.scan(redis_client))) == ["part"]
    assert inbox.read_depth(redis_client).pending == 0
    assert inbox.read_totals(redis_client) == {"refused": 1}


def test_the_sweep_asks_for_a_drain_while_something_waits(
    redis_client: redis.Redis, drainer: Drainer
) -> None:
    assert sweep(redis_client) is False
    inbox.put(redis_client, body_of({"event_type": "a"}), events=1, days=[DAY])
    assert sweep(redis_client) is True
    drainer.drain()
    assert sweep(redis_client) is False


def test_the_sweep_makes_the_group_anew_after_the_server_lost_it(redis_client: redis.Redis) -> None:
    redis_client.flushdb()
    put(redis_client)

    assert sweep(redis_client) is True
    assert names(inbox.take(redis_client, "one", count=1)) == ["batch"]
