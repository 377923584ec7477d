"""What an event costs at each door: the same events in each dialect's words, in turns.

Processor time of the door alone, from the request's bytes to the answer, with the inbox on a real
server: no network, no worker, no database.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from statistics import median
from typing import Any

import orjson
from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

import inbox
from event_ids import uuid7
from intake.moment import format_ms

NATIVE = "native"
#: Requests of one door in a round.
_REQUESTS = 20

View = tuple[str, str, str, str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Cost:
    """The processor time of one event at a door, in microseconds."""

    door: str
    batch: int
    us_per_event: float
    ratio: float

    def as_answer(self) -> dict[str, Any]:
        """Give the figures by name."""
        return {
            "door": self.door,
            "batch": self.batch,
            "cpu_us_per_event": round(self.us_per_event, 1),
            "ratio_to_native": round(self.ratio, 2),
        }


def measure(
    app: Flask, url: str, *, batch: int, rounds: int, tell: Callable[[str], None]
) -> list[Cost]:
    """Measure all doors in turns; the median of the rounds, after one for warming up."""
    client = inbox.connect(url, timeout_s=5.0)
    seconds: dict[str, list[float]] = {door: [] for door in DOORS}
    for number in range(rounds + 1):
        for door, (path, write) in DOORS.items():
            tell(f"batch {batch}: round {number} of {rounds}, {door}")
            bodies = [orjson.dumps(write(_views(batch))) for _ in range(_REQUESTS)]
            spent = _post(app, path, bodies)
            client.delete(inbox.STREAM)
            if number:
                seconds[door].append(spent / (_REQUESTS * batch))
    client.close()
    base = median(seconds[NATIVE])
    return [
        Cost(door, batch, median(found) * 1e6, median(found) / base)
        for door, found in seconds.items()
    ]


def _post(app: Flask, path: str, bodies: Iterable[bytes]) -> float:
    environs = [_environ(path, body) for body in bodies]
    started = time.thread_time()
    for environ in environs:
        _, status, _ = run_wsgi_app(app.wsgi_app, environ)
        if not status.startswith("2"):
            raise RuntimeError(f"{path} answered {status}")
    return time.thread_time() - started


def _environ(path: str, body: bytes) -> dict[str, Any]:
    kind = "application/cloudevents-batch+json" if path == "/cloudevents" else "application/json"
    builder = EnvironBuilder(
        path=path, method="POST", content_type=kind, input_stream=BytesIO(body)
    )
    return {**builder.get_environ(), "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1"}


def _views(count: int) -> list[View]:
    """Make product views: id, time, person, product and properties."""
    chance = random.Random(count)
    now_ms = int(time.time() * 1000)
    return [
        (
            uuid7(now_ms),
            format_ms(now_ms - chance.randrange(5000)),
            f"person-{chance.randrange(20_000)}",
            f"sku-{chance.randrange(5_000)}",
            {"price": 19.9, "currency": "EUR", "placement": "search", "query": "wool rug"},
        )
        for _ in range(count)
    ]


def _native(views: list[View]) -> Any:
    return {
        "events": [
            {
                "event_type": "product_view",
                "event_id": name,
                "occurred_at": moment,
                "user_id": person,
                "product_id": product,
                "properties": properties,
                "context": {"library": {"name": "shop", "version": "1.0"}},
            }
            for name, moment, person, product, properties in views
        ]
    }


def _segment(views: list[View]) -> Any:
    return {
        "batch": [
            {
                "type": "track",
                "event": "Product Viewed",
                "messageId": name,
                "timestamp": moment,
                "userId": person,
                "properties": {"product_id": product, **properties},
                "context": {"library": {"name": "analytics-python", "version": "2.4.0"}},
                "integrations": {},
            }
            for name, moment, person, product, properties in views
        ]
    }


def _posthog(views: list[View]) -> Any:
    return {
        "batch": [
            {
                "event": "product_viewed",
                "uuid": name,
                "timestamp": moment,
                "distinct_id": person,
                "properties": {
                    "product_id": product,
                    **properties,
                    "$lib": "posthog-python",
                    "$lib_version": "7.91.1",
                },
            }
            for name, moment, person, product, properties in views
        ]
    }


def _cloudevents(views: list[View]) -> Any:
    return [
        {
            "specversion": "1.0",
            "id": name,
            "source": "/shop",
            "type": "product_view",
            "time": moment,
            "userid": person,
            "productid": product,
            "datacontenttype": "application/json",
            "data": properties,
        }
        for name, moment, person, product, properties in views
    ]


#: Where each dialect's batch goes, and how it is written.
DOORS: dict[str, tuple[str, Callable[[list[View]], Any]]] = {
    NATIVE: ("/mr/in", _native),
    "segment": ("/v1/batch", _segment),
    "posthog": ("/batch/", _posthog),
    "cloudevents": ("/cloudevents", _cloudevents),
}
