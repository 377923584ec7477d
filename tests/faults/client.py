"""A client outside of the system, a process of its own: `python -m tests.faults.client`.

It sends batches over several connections until it is stopped, each again until it is accepted, and
logs every answer.
"""

from __future__ import annotations

import http.client
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from event_ids import uuid7

if TYPE_CHECKING:
    from tests.faults.recorder import Recorder

ROOT = Path(__file__).resolve().parents[2]
PATH = "/api/v1/analytics/events/"
HEADERS = {"Content-Type": "application/json"}
LOST = "lost"
ENDS_WITHIN_S = 180.0
KINDS = ("product_view", "product_click", "add_to_cart", "purchase", "rate", "search")
Event = dict[str, Any]


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


class Connection:
    """A connection that is made again after each failure."""

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)

    def post(self, body: bytes) -> tuple[int | str, bytes]:
        """Send one request; give the status of its answer, or `lost`, and its content."""
        try:
            self._connection.request("POST", PATH, body, HEADERS)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return LOST, b""

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def post(host: str, port: int, events: list[Event], *, timeout_s: float = 3.0) -> int | str:
    """Send one request on a connection of its own; give the status of its answer, or `lost`."""
    connection = Connection(host, port, timeout_s=timeout_s)
    try:
        return connection.post(orjson.dumps({"events": events}))[0]
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Template:
    """A request that was made beforehand; each time it is sent, new ids are put in."""

    parts: list[bytes]

    @classmethod
    def make(cls, chance: random.Random, count: int, *, with_bad: bool) -> Template:
        """Make a request; one of its events may be bad, which the door must reject alone."""
        events = make_events(chance, count, now_ms=0)
        if with_bad:
            events[chance.randrange(count)]["quantity"] = "many"
        body = orjson.dumps({"events": events})
        for event in events:
            body = body.replace(event["event_id"].encode(), b"\0")
        return cls(body.split(b"\0"))

    def fill(self, ids: list[str]) -> bytes:
        """Give the body with these ids."""
        words = [self.parts[0]]
        for event_id, part in zip(ids, self.parts[1:], strict=True):
            words += (event_id.encode(), part)
        return b"".join(words)


@dataclass(frozen=True, slots=True)
class Client:
    """What one connection sends.

    Now and then it gives up after an answer was lost, as people close their browsers: such events
    may be stored or not, but never twice. `clock_s` is how far its clock is ahead.
    """

    host: str
    port: int
    log: str
    seed: int
    clients: int = 4
    batch: int = 50
    pause_s: float = 0.05
    gives_up: float = 0.1
    clock_s: float = 0.0
    keep_alive: bool = True
    timeout_s: float = 3.0

    def run(self, recorder: Recorder, stop: threading.Event, number: int) -> None:
        """Send until stopped; the batch under way is brought to its end."""
        chance = random.Random(self.seed * 1000 + number)
        templates = [
            Template.make(chance, self.batch, with_bad=turn % 10 == 0) for turn in range(20)
        ]
        connection = Connection(self.host, self.port, timeout_s=self.timeout_s)
        while not stop.is_set():
            now_ms = int((time.time() + self.clock_s) * 1000)
            ids = [uuid7(now_ms - chance.randrange(3_600_000)) for _ in range(self.batch)]
            self.send(connection, chance.choice(templates).fill(ids), ids, recorder, chance)
            stop.wait(self.pause_s)
        connection.close()

    def send(
        self,
        connection: Connection,
        body: bytes,
        ids: list[str],
        recorder: Recorder,
        chance: random.Random,
    ) -> None:
        """Send one batch until it is accepted, or given up."""
        for attempt in range(1, 300):
            answer, content = connection.post(body)
            recorder.note(ids, attempt, answer, rejected_in(content, ids))
            if not self.keep_alive:
                connection.close()
            if answer == 201 or (answer == LOST and chance.random() < self.gives_up):
                return
            time.sleep(0.1)


def rejected_in(content: bytes, ids: list[str]) -> list[str]:
    """Give those of the ids that an answer refuses: it names them by their place."""
    if b'"rejected"' not in content:
        return []
    results = orjson.loads(content).get("results", ())
    return [ids[item["index"]] for item in results if item["status"] == "rejected"]


@contextmanager
def load(
    host: str,
    port: int,
    recorder: Recorder,
    *,
    seed: int,
    **options: Any,
) -> Iterator[None]:
    """Let a client process send (`options` are Client's); leave when its batches are finished."""
    client = Client(host, port, str(recorder.path), seed, **({"batch": recorder.batch} | options))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.client", orjson.dumps(asdict(client)).decode()],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    began = time.monotonic()
    try:
        yield
        time.sleep(max(0.0, began + recorder.least_s - time.monotonic()))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(ENDS_WITHIN_S)
        finally:
            process.kill()
    assert code == 0, f"the client ended with {code}"


def main(words: str) -> None:
    """Send until SIGTERM."""
    from tests.faults.recorder import Recorder

    client = Client(**orjson.loads(words))
    recorder = Recorder(Path(client.log))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threads = [
        threading.Thread(target=client.run, args=(recorder, stop, number))
        for number in range(client.clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1])
