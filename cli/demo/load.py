"""Send a data set over HTTP, as a shop would: a few connections, batches, patience when refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import click
import orjson
import urllib3

from cli.demo.expected import Expected
from datasets import Dataset

BATCH_EVENTS = 200
BATCH_PRODUCTS = 1000
CONNECTIONS = 3
PATIENCE_S = 120.0

Advance = Callable[[int], None]


@dataclass(slots=True)
class Sent:
    """What the door answered."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    first_rejection: str = ""
    seconds: float = 0.0


class Shop:
    """A client of a running Millrace."""

    def __init__(self, url: str, *, write_key: str, admin_token: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(
            maxsize=CONNECTIONS, retries=False, timeout=urllib3.Timeout(connect=5, read=60)
        )
        self._write = {"Content-Type": "application/json", "X-Write-Key": write_key}
        self._admin = {"Content-Type": "application/json", "Authorization": f"Bearer {admin_token}"}

    def get(self, path: str) -> dict[str, Any]:
        """Get a JSON answer."""
        answer: dict[str, Any] = orjson.loads(self._ask("GET", path, self._admin, None).data)
        return answer

    def post(self, path: str) -> dict[str, Any]:
        """Post without a body and give the JSON answer."""
        answer: dict[str, Any] = orjson.loads(self._ask("POST", path, self._admin, None).data)
        return answer

    def send_catalogue(self, products: list[dict[str, Any]], advance: Advance) -> None:
        """Send the products in parts."""
        for start in range(0, len(products), BATCH_PRODUCTS):
            part = products[start : start + BATCH_PRODUCTS]
            answer = self._ask("POST", "/api/products", self._admin, {"products": part})
            rejected = orjson.loads(answer.data)["rejected"]
            if rejected:
                raise click.ClickException(f"a product was rejected: {rejected[0]}")
            advance(len(part))

    def send_events(self, dataset: Dataset, expected: Expected, advance: Advance) -> Sent:
        """Send all events in time order, some requests at a time; count what was answered."""
        sent = Sent()
        began = time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            waiting: set[Future[tuple[int, dict[str, Any]]]] = set()
            for batch in _counted(dataset, expected):
                waiting.add(pool.submit(self._send, batch))
                if len(waiting) >= 2 * CONNECTIONS:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    _note(sent, done, advance)
            _note(sent, waiting, advance)
        sent.seconds = time.monotonic() - began
        return sent

    def _send(self, batch: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        path = "/api/v1/analytics/events/"
        answer = self._ask("POST", path, self._write, {"events": batch}, accept=(201, 422))
        return len(batch), orjson.loads(answer.data)

    def _ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: dict[str, Any] | None,
        accept: tuple[int, ...] = (200, 201, 202),
    ) -> urllib3.BaseHTTPResponse:
        """Ask, and ask again when told to come back or when the connection broke."""
        data = None if body is None else orjson.dumps(body)
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self._pool.request(method, self._url + path, headers=headers, body=data)
            except urllib3.exceptions.HTTPError as error:
                if time.monotonic() > until:
                    raise click.ClickException(f"{path} cannot be reached: {error}") from error
                time.sleep(0.2)
                continue
            if answer.status in accept:
                return answer
            if answer.status not in (429, 503) or time.monotonic() > until:
                text = answer.data.decode(errors="replace")[:500]
                raise click.ClickException(f"{method} {path} answered {answer.status}: {text}")
            time.sleep(float(answer.headers.get("Retry-After", "1")))


def _counted(dataset: Dataset, expected: Expected) -> Iterator[list[dict[str, Any]]]:
    for batch in dataset.event_batches(BATCH_EVENTS):
        for event in batch:
            expected.add(event)
        yield batch


def _note(sent: Sent, done: set[Future[tuple[int, dict[str, Any]]]], advance: Advance) -> None:
    for future in done:
        count, answer = future.result()
        results = answer["results"]
        rejected = [result for result in results if result["status"] == "rejected"]
        if rejected and not sent.first_rejection:
            sent.first_rejection = rejected[0]["detail"]
        sent.sent += count
        sent.rejected += len(rejected)
        sent.accepted += count - len(rejected)
        advance(count)
