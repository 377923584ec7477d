"""How long recommendations take through HTTP at a steady rate: an open-loop load generator.

Requests are due at fixed times, whether or not those before them are answered, and a latency
counts from the time a request was due. Waiting for a slow answer would otherwise hide that the
requests behind it were late too (coordinated omission).
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, text

from models.database import transaction

BASE = "/api/recommendations"
#: Milliseconds within which 99 of 100 answers come, where that is promised.
LIMITS_MS = {"user": 15.0, "product": 5.0}
#: Of a hundred requests: how many are of each kind.
MIX = {"user": 40, "product": 40, "session": 10, "popular": 10}
#: Of a hundred people: how many nobody has met before.
_STRANGERS = 10
CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Question:
    """One request: which kind of list, and its path."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Timing:
    """The latencies of one kind of list."""

    kind: str
    requests: int
    errors: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    limit_ms: float | None

    @property
    def ok(self) -> bool:
        """Tell whether all were answered, and 99 of 100 within the limit."""
        return self.errors == 0 and (self.limit_ms is None or self.p99_ms <= self.limit_ms)

    def as_answer(self) -> dict[str, Any]:
        """Give the figures by name."""
        return {**asdict(self), "ok": self.ok}


def questions(engine: Engine, count: int, *, seed: int) -> list[Question]:
    """Make a mix of requests, for people and products that a sample of the events is of.

    Who did much is in the sample for certain, and is asked for as often as the others in it.
    Products are asked for as often as they are met.
    """
    chance = random.Random(seed)
    met = _sample_events(engine, count, seed=seed)
    users = list({row.user_id: None for row in met if row.user_id}) or ["nobody"]
    visitors = list({row.anonymous_id: None for row in met if row.anonymous_id}) or ["nobody"]
    products = [row.product_id for row in met if row.product_id] or ["nothing"]
    kinds = chance.choices(list(MIX), weights=list(MIX.values()), k=count)

    def path(kind: str) -> str:
        stranger = chance.randrange(100) < _STRANGERS
        match kind:
            case "user":
                name = f"stranger-{chance.random()}" if stranger else chance.choice(users)
                return f"{BASE}/user/{quote(name, safe='')}"
            case "session":
                name = f"stranger-{chance.random()}" if stranger else chance.choice(visitors)
                return f"{BASE}/session?anonymous_id={quote(name, safe='')}"
            case "product":
                return f"{BASE}/product/{quote(chance.choice(products), safe='')}"
        return f"{BASE}/popular"

    return [Question(kind, path(kind)) for kind in kinds]


def _sample_events(engine: Engine, count: int, *, seed: int) -> Sequence[Any]:
    with transaction(engine) as session:
        stored = session.scalar(
            text(
                "SELECT sum(greatest(reltuples, 0)) FROM pg_class JOIN pg_inherits "
                "ON inhrelid = pg_class.oid WHERE inhparent = CAST('events' AS regclass)"
            )
        )
        percent = min(100.0, 100.0 * 5 * count / max(float(stored or 0), 1.0))
        return session.execute(
            text(
                "SELECT user_id, anonymous_id, product_id FROM events "
                "TABLESAMPLE SYSTEM (:percent) REPEATABLE (:seed) LIMIT :limit"
            ),
            {"percent": percent, "seed": seed, "limit": 20 * count},
        ).all()


def measure(
    host: str,
    port: int,
    asked: Sequence[Question],
    *,
    rate: float,
    warm_up: int,
    advance: Callable[[int], None],
) -> list[Timing]:
    """Send the requests at a rate a second over connections that stay open.

    The first `warm_up` do not count.
    """
    clock = _Schedule(len(asked), rate)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        senders = [
            pool.submit(_send, host, port, asked, clock, advance) for _ in range(CONNECTIONS)
        ]
        answers = [answer for sender in senders for answer in sender.result()]
    found: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for number, latency_ms, is_good in answers:
        if number >= warm_up:
            found[asked[number].kind].append((latency_ms, is_good))
    return [_summarise(kind, found[kind]) for kind in MIX if found[kind]]


class _Schedule:
    """Hand out the numbers of the requests with the times at which they are due."""

    def __init__(self, count: int, rate: float) -> None:
        self._lock = threading.Lock()
        self._next, self._count, self._rate = 0, count, rate
        self._began_s = time.perf_counter()

    def take(self) -> tuple[int, float] | None:
        with self._lock:
            number = self._next
            if number >= self._count:
                return None
            self._next += 1
        return number, self._began_s + number / self._rate


def _send(
    host: str,
    port: int,
    asked: Sequence[Question],
    schedule: _Schedule,
    advance: Callable[[int], None],
) -> list[tuple[int, float, bool]]:
    answers = []
    connection = http.client.HTTPConnection(host, port, timeout=30)
    while (taken := schedule.take()) is not None:
        number, due_s = taken
        time.sleep(max(0.0, due_s - time.perf_counter()))
        try:
            connection.request("GET", asked[number].path)
            answer = connection.getresponse()
            answer.read()
            is_good = answer.status == 200
        except (OSError, http.client.HTTPException):
            connection.close()
            is_good = False
        answers.append((number, (time.perf_counter() - due_s) * 1000, is_good))
        advance(1)
    connection.close()
    return answers


def _summarise(kind: str, answers: Sequence[tuple[float, bool]]) -> Timing:
    times = sorted(latency_ms for latency_ms, _ in answers)

    def at(share: float) -> float:
        return round(times[min(len(times) - 1, int(share * len(times)))], 2)

    return Timing(
        kind=kind,
        requests=len(times),
        errors=sum(not is_good for _, is_good in answers),
        p50_ms=at(0.5),
        p90_ms=at(0.9),
        p99_ms=at(0.99),
        max_ms=round(times[-1], 2),
        limit_ms=LIMITS_MS.get(kind),
    )
