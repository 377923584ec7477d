"""Measure the ways of storing a set of batches against a COPY of the same rows, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from bench.cpu import read_seconds
from bench.events import Plan, make_bodies
from bench.limits import Limit
from bench.yardstick import Yardstick, encode_rows
from event_lines import as_json
from intake.request import encode_batch, read_request
from intake.rows import Rules, Sender
from tasks.store import store_bodies

#: The usual way; and that of entries which need a closer look: the fused statement.
WAYS: dict[str, Callable[[bytes], bytes]] = {"lines": lambda body: body, "statement": as_json}
#: The processor time of the database for an event that is stored and counted, COPY being 1.
MOST_CPU = 1.3
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Way:
    """What an event costs in one way of storing: seconds of the rounds, and of COPY beside them."""

    name: str
    database_us: float
    worker_us: float
    copy_us: float

    def as_answer(self) -> dict[str, Any]:
        """Give the figures under the names they are published by."""
        return {
            "way": self.name,
            "database_us_per_event": round(self.database_us, 2),
            "worker_us_per_event": round(self.worker_us, 2),
            "copy_us_per_row": round(self.copy_us, 2),
            "database_over_copy": round(self.ratio, 3),
        }

    @property
    def ratio(self) -> float:
        """Give what the database spends on an event, COPY being 1."""
        return self.database_us / self.copy_us


def check_limits(ways: Sequence[Way]) -> list[Limit]:
    """Hold the usual way against its limit; the other is for what is rare."""
    return [
        Limit("database / COPY of lines", round(way.ratio, 3), MOST_CPU)
        for way in ways
        if way.name == "lines"
    ]


def measure(
    engine: Engine,
    yardstick: Yardstick,
    *,
    rounds: int,
    events: int,
    rows: int,
    tell: Callable[[str], None],
) -> list[Way]:
    """Store `events` in each way, `rows` to a transaction; medians after a round for warming up."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in (*WAYS, "copy")}
    for number in range(rounds + 1):
        for place, name in enumerate(spent):
            tell(f"round {number} of {rounds}: {name}")
            now_ms = int(time.time() * 1000)
            plan = Plan(events=events, batch=_BATCH, seed=10 * number + place, last_ms=now_ms)
            bodies = make_bodies(plan)
            if name == "copy":
                found = _copy(yardstick, bodies, _sender(now_ms)), 0.0
            else:
                found = _store(engine, bodies, _sender(now_ms), WAYS[name], rows)
            if number:
                spent[name].append(found)
    copy_us = _us(spent["copy"], 0, events)
    return [
        Way(name, _us(spent[name], 0, events), _us(spent[name], 1, events), copy_us)
        for name in WAYS
    ]


def _store(
    engine: Engine,
    bodies: Sequence[bytes],
    sender: Sender,
    write: Callable[[bytes], bytes],
    rows: int,
) -> tuple[float, float]:
    readings = [read_request(body, sender=sender, rules=_RULES) for body in bodies]
    entries = [
        write(encode_batch(item.rows, sender=sender, is_plain=item.is_plain)) for item in readings
    ]
    days = {day for item in readings for day in item.days}
    step = max(1, rows // _BATCH)
    store_bodies(engine, [], days, known_days=set(), zone="UTC")
    with Session(engine) as session:
        backend = session.scalar(text("SELECT pg_backend_pid()")) or 0
    database_s, worker_s = read_seconds(backend), time.process_time()
    for start in range(0, len(entries), step):
        store_bodies(engine, entries[start : start + step], days, known_days=set(days), zone="UTC")
    return read_seconds(backend) - database_s, time.process_time() - worker_s


def _copy(yardstick: Yardstick, bodies: Sequence[bytes], sender: Sender) -> float:
    lines = encode_rows(bodies, sender=sender, rules=_RULES)
    before_s = read_seconds(yardstick.pid)
    yardstick.copy(lines)
    return read_seconds(yardstick.pid) - before_s


def _sender(now_ms: int) -> Sender:
    return Sender(received_ms=now_ms, key_id="k", ip_address="127.0.0.0", user_agent="bench")


def _us(spent: Sequence[tuple[float, float]], place: int, events: int) -> float:
    return median(item[place] for item in spent) / events * 1e6


_RULES = Rules(max_event_bytes=65_536, max_batch_events=1000, retention_days=365)
