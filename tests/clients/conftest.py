"""A running Millrace that can misbehave, and clients that talk to it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

# The package is not installed here: its own test does that.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients" / "python" / "src"))

from millrace_client import Client, MillraceError

from tests.clients.faulty import FaultyServer


@pytest.fixture
def server(app_with: Callable[..., Any], write_key: str) -> Iterator[FaultyServer]:
    """Run Millrace on a loopback port, at the time of the clients.

    Its door is patient: what fails is what a test lets fail.
    """
    app = app_with(clock=time.time, door_timeout_s=10.0).application
    app.extensions["millrace"].write_keys.refresh()
    with FaultyServer(app) as running:
        yield running


class Failures(list[tuple[MillraceError, dict[str, Any]]]):
    """What was given to `on_error`, in order."""

    def __call__(self, error: MillraceError, event: dict[str, Any]) -> None:
        self.append((error, event))

    @property
    def reasons(self) -> list[str]:
        return [error.reason for error, _ in self]


@pytest.fixture
def failures() -> Failures:
    """Give a list that is an `on_error`."""
    return Failures()


@pytest.fixture
def client_of(
    server: FaultyServer, write_key: str, failures: Failures
) -> Iterator[Callable[..., Client]]:
    """Give a function that makes a client of the server, with pauses that take no time."""
    made: list[Client] = []

    def make(**options: Any) -> Client:
        given = {
            "host": server.url,
            "write_key": write_key,
            "on_error": failures,
            "linger_s": 0.01,
            "retry_base_s": 0.001,
            "retry_cap_s": 0.01,
            "timeout_s": 10.0,
            **options,
        }
        made.append(Client(**given))
        return made[-1]

    yield make
    for client in made:
        client.shutdown(5.0)


@pytest.fixture
def stored(engine: Engine, drainer: Any) -> Callable[[], list[dict[str, Any]]]:
    """Give a function that stores what the door accepted, and gives all events."""

    def read() -> list[dict[str, Any]]:
        drainer.drain()
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT * FROM events ORDER BY event_id")).mappings()
            return [{**row, "event_id": str(row["event_id"])} for row in rows]

    return read
