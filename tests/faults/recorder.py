"""A client outside of the system: it sends events, and keeps a log of its own of every answer."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from event_ids import uuid7

PATH = "/api/v1/analytics/events/"
LOST = "lost"
Event = dict[str, Any]
KINDS = ("product_view", "product_click", "add_to_cart", "purchase", "rate", "search")


@dataclass
class Recorder:
    """Append what was sent and answered to a file; nothing in it is ever changed.

    One line is one attempt: its ids, its number, and the answer's status, or `lost` when no answer
    came. A soak can go on with the file of an earlier run.
    """

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, ids: list[str], attempt: int, answer: int | str) -> None:
        """Append one attempt."""
        line = json.dumps({"ids": ids, "attempt": attempt, "answer": answer})
        with self._lock, self.path.open("a") as log:
            log.write(line + "\n")

    def read(self) -> Iterator[tuple[list[str], int, int | str]]:
        """Give all attempts, oldest first."""
        with self.path.open() as log:
            for line in log:
                found = json.loads(line)
                yield found["ids"], found["attempt"], found["answer"]


def make_events(chance: random.Random, count: int, *, now_ms: int) -> list[Event]:
    """Make events that move counters, with ids of the client's own."""
    events: list[Event] = []
    for _ in range(count):
        kind = chance.choice(KINDS)
        event: Event = {
            "event_type": kind,
            "event_id": uuid7(now_ms - chance.randrange(3_600_000)),
            "product_id": f"p{min(int(chance.expovariate(0.1)), 99)}",
            "anonymous_id": f"a{chance.randrange(500)}",
            "session_id": f"s{chance.randrange(2000)}",
            "source": chance.choice(("web", "android")),
        }
        if kind == "purchase":
            event |= {
                "quantity": chance.randrange(1, 4),
                "value": chance.randrange(100, 9900) / 100,
            }
        if kind == "rate":
            event["value"] = chance.randrange(1, 6)
        events.append(event)
    return events


def post(host: str, port: int, events: list[Event], *, timeout_s: float = 3.0) -> int | str:
    """Send one request; give the status of its answer, or `lost`."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        body = json.dumps({"events": events})
        connection.request("POST", PATH, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return LOST
    finally:
        connection.close()


@dataclass
class Client:
    """Send batches until it is told to stop, each again until it is accepted.

    Now and then it gives up after an answer was lost, as people close their browsers: such events
    may be stored or not, but never twice.
    """

    host: str
    port: int
    recorder: Recorder
    seed: int
    batch: int = 50
    pause_s: float = 0.05
    gives_up: float = 0.1

    def run(self, stopped: Callable[[], bool]) -> None:
        """Send until stopped; the batch under way is brought to its end."""
        chance = random.Random(self.seed)
        while not stopped():
            events = make_events(chance, self.batch, now_ms=int(time.time() * 1000))
            self.send(events, chance)
            time.sleep(self.pause_s)

    def send(self, events: list[Event], chance: random.Random) -> None:
        """Send one batch until it is accepted, or given up."""
        ids = [event["event_id"] for event in events]
        for attempt in range(1, 200):
            answer = post(self.host, self.port, events)
            self.recorder.note(ids, attempt, answer)
            if answer == 201 or (answer == LOST and chance.random() < self.gives_up):
                return
            time.sleep(0.1)


@contextmanager
def load(
    host: str, port: int, recorder: Recorder, *, seed: int, clients: int = 4, pause_s: float = 0.05
) -> Iterator[None]:
    """Let clients send at the same time; leave when each has finished its last batch."""
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=Client(host, port, recorder, seed=seed + number, pause_s=pause_s).run,
            args=(stop.is_set,),
        )
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
