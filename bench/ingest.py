"""Measure ingestion from HTTP to committed, counted rows against a COPY of the same rows."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import msgspec
import redis

import inbox
from bench.cpu import Meter, Seconds, spent
from bench.events import USUAL, Plan, Shape, make_bodies
from bench.limits import Limit
from bench.load import USER_AGENT, Job, Sent
from bench.yardstick import Yardstick, encode_rows
from intake.rows import Rules, Sender

ROOT = Path(__file__).resolve().parents[1]
CONNECTIONS = 4
#: Enough that a round lasts a second or two.
EVENTS_OF_BATCH = {1: 4_000, 10: 20_000, 100: 50_000, 1000: 50_000}
STORED_WITHIN_S = 120.0


class BenchError(Exception):
    """Say what went wrong in a measurement."""


@dataclass(frozen=True, slots=True)
class Target:
    """The Millrace to measure."""

    host: str
    port: int
    write_key: str
    key_id: str
    client: redis.Redis
    meter: Meter
    yardstick: Yardstick
    rules: Rules


@dataclass(frozen=True, slots=True)
class Round:
    """One round of each: the same events through the door, then through COPY."""

    events: int
    ingest_s: float
    copy_s: float
    ingest_cpu: Seconds
    copy_cpu_s: float


#: What batches of 100 must keep to.
LEAST_RATE, MOST_CPU, MOST_P99_MS = 0.9, 1.3, 25.0
#: Single events a second, as a share of those in batches of 100.
LEAST_SINGLE = 0.2


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one batch size: medians over the rounds.

    `p50_ms` and `p99_ms` are of answers at half the rate that was reached.
    """

    batch: int
    rounds: Sequence[Round]
    p50_ms: float
    p99_ms: float

    def as_answer(self) -> dict[str, float]:
        """Give the figures under the names they are published by."""
        per_s = median(item.events / item.ingest_s for item in self.rounds)
        copy_per_s = median(item.events / item.copy_s for item in self.rounds)
        cpu_us = median(sum(item.ingest_cpu.values()) / item.events for item in self.rounds) * 1e6
        return {
            "batch": self.batch,
            "events_per_s": round(per_s),
            "copy_rows_per_s": round(copy_per_s),
            "ratio_to_copy": round(per_s / copy_per_s, 3),
            "cpu_us_per_event": round(cpu_us, 2),
            "cpu_over_copy": round(cpu_us / self.copy_cpu_us, 3),
            "p50_ms": round(self.p50_ms, 1),
            "p99_ms": round(self.p99_ms, 1),
        }

    @property
    def per_s(self) -> float:
        """Give the events a second."""
        return median(item.events / item.ingest_s for item in self.rounds)

    @property
    def copy_cpu_us(self) -> float:
        """Give the processor time of COPY for one row."""
        return median(item.copy_cpu_s / item.events for item in self.rounds) * 1e6

    def cpu_by_group(self) -> dict[str, float]:
        """Give the processor time of one event in µs, by group of processes."""
        names = self.rounds[0].ingest_cpu
        groups = {
            name: round(
                median(item.ingest_cpu[name] / item.events for item in self.rounds) * 1e6, 2
            )
            for name in names
        }
        return {**groups, "copy": round(self.copy_cpu_us, 2)}


def measure(
    target: Target,
    *,
    batch: int,
    rounds: int,
    events: int,
    tell: Callable[[str], None],
    shape: Shape = USUAL,
) -> Result:
    """Run alternating rounds for one batch size; the first of all is for warming up."""
    done = []
    with start_load() as load:
        for number in range(rounds + 1):
            tell(f"batches of {batch:,}: round {number} of {rounds}")
            plan = Plan(
                events=events,
                batch=batch,
                seed=1_000_000 * batch + number,
                last_ms=int(time.time() * 1000),
                shape=shape,
            )
            done.append(_run_round(target, load, plan))
        tell(f"batches of {batch:,}: half the rate")
        per_s = median(item.events / item.ingest_s for item in done[1:]) / batch / 2
        sent = _send_at(target, load, replace(plan, last_ms=int(time.time() * 1000)), per_s)
    return Result(batch=batch, rounds=done[1:], p50_ms=sent.p50_ms, p99_ms=sent.p99_ms)


def check_limits(results: Sequence[Result]) -> list[Limit]:
    """Hold the figures against the limits; those of a batch size that was not measured are left."""
    by_batch = {item.batch: item for item in results}
    limits = []
    if 100 in by_batch:
        found = by_batch[100].as_answer()
        limits += [
            Limit("ratio_to_copy of 100", found["ratio_to_copy"], LEAST_RATE, is_most=False),
            Limit("cpu_over_copy of 100", found["cpu_over_copy"], MOST_CPU, is_most=True),
            Limit("p99_ms of 100 at half the rate", found["p99_ms"], MOST_P99_MS, is_most=True),
        ]
        if 1 in by_batch:
            share = round(by_batch[1].per_s / by_batch[100].per_s, 3)
            limits.append(Limit("events_per_s of 1 over 100", share, LEAST_SINGLE, is_most=False))
    return limits


def _send_at(target: Target, load: subprocess.Popen[str], plan: Plan, per_s: float) -> Sent:
    """Send the events of a plan at so many requests a second, and wait until they are stored."""
    plan = replace(plan, seed=plan.seed + 500_000)
    job = Job(target.host, target.port, target.write_key, 4 * CONNECTIONS, plan, per_s)
    _write_line(load, msgspec.json.encode(job).decode())
    _read_line(load)
    _write_line(load, "go")
    sent = msgspec.json.decode(_read_line(load), type=Sent)
    _wait_until_stored(target.client)
    return sent


def _run_round(target: Target, load: subprocess.Popen[str], plan: Plan) -> Round:
    job = Job(target.host, target.port, target.write_key, CONNECTIONS, plan)
    _write_line(load, msgspec.json.encode(job).decode())
    sender = Sender(
        received_ms=plan.last_ms,
        key_id=target.key_id,
        ip_address="127.0.0.0",
        user_agent=USER_AGENT,
    )
    lines = encode_rows(make_bodies(plan), sender=sender, rules=target.rules)
    if _read_line(load) != "ready":
        raise BenchError("the load generator did not get ready")
    stored_before = target.yardstick.count("events")

    cpu_before = target.meter.read()
    _write_line(load, "go")
    sent = msgspec.json.decode(_read_line(load), type=Sent)
    ended_s = _wait_until_stored(target.client)
    ingest_cpu = spent(cpu_before, target.meter.read())

    stored = target.yardstick.count("events") - stored_before
    if stored != plan.events:
        raise BenchError(f"{plan.events:,} events were sent, {stored:,} were stored")
    copy_before = target.meter.read_copy(target.yardstick.pid)
    copy_s = target.yardstick.copy(lines)
    copy_cpu_s = target.meter.read_copy(target.yardstick.pid) - copy_before
    return Round(plan.events, ended_s - sent.began_s, copy_s, ingest_cpu, copy_cpu_s)


def _wait_until_stored(client: redis.Redis) -> float:
    """Wait until the inbox is empty, which follows the commit; give the moment."""
    deadline = time.monotonic() + STORED_WITHIN_S
    while client.xlen(inbox.STREAM):
        if time.monotonic() > deadline:
            raise BenchError(f"the inbox was not empty after {STORED_WITHIN_S:.0f} s")
        time.sleep(0.005)
    return time.monotonic()


@contextlib.contextmanager
def start_load() -> Iterator[subprocess.Popen[str]]:
    """Run the load generator as a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _write_line(load: subprocess.Popen[str], line: str) -> None:
    assert load.stdin is not None
    load.stdin.write(line + "\n")
    load.stdin.flush()


def _read_line(load: subprocess.Popen[str]) -> str:
    assert load.stdout is not None
    line = load.stdout.readline().strip()
    if not line:
        raise BenchError("the load generator ended; its message is above")
    return line
