"""The door with its inbox, and without: how fast it answers when batches go to the spool."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.events import Plan, make_bodies

PATH = "/api/v1/analytics/events/"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a number of requests over some connections gave; latencies in milliseconds."""

    state: str
    batch: int
    connections: int
    requests: int
    accepted: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Door:
    """Where requests go."""

    host: str
    port: int
    write_key: str


def send_all(door: Door, plan: Plan, *, connections: int, state: str) -> Answers:
    """Send a plan's requests, each connection its share, and time every answer."""
    bodies = make_bodies(plan)
    shares = [bodies[start::connections] for start in range(connections)]
    with ThreadPoolExecutor(connections) as threads:
        began_s = time.perf_counter()
        found = [
            item for share in threads.map(lambda own: _send(door, own), shares) for item in share
        ]
        took_s = time.perf_counter() - began_s
    times_ms = sorted(1000 * took for _, took in found)
    return Answers(
        state=state,
        batch=plan.batch,
        connections=connections,
        requests=len(found),
        accepted=sum(status == 201 for status, _ in found),
        requests_per_s=len(found) / took_s,
        p50_ms=times_ms[len(times_ms) // 2],
        p99_ms=times_ms[len(times_ms) * 99 // 100],
        max_ms=times_ms[-1],
    )


def _send(door: Door, bodies: Sequence[bytes]) -> list[tuple[int, float]]:
    connection = http.client.HTTPConnection(door.host, door.port, timeout=60)
    headers = {"Content-Type": "application/json", "X-Write-Key": door.write_key}
    found = []
    for body in bodies:
        began_s = time.perf_counter()
        connection.request("POST", PATH, body, headers)
        answer = connection.getresponse()
        answer.read()
        found.append((answer.status, time.perf_counter() - began_s))
    connection.close()
    return found
