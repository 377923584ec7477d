"""The client's own log: what it sent, and what it was told. Nothing in it is ever changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from tests.faults.client import LOST, Client, Event, load, make_events, post

__all__ = ["LOST", "Attempt", "Client", "Event", "Recorder", "load", "make_events", "post"]


class Attempt(NamedTuple):
    """One request: its ids, its number, and the status of its answer, or `lost`.

    `rejected` are those of its ids that the answer refused.
    """

    ids: list[str]
    attempt: int
    answer: int | str
    rejected: list[str]


@dataclass(frozen=True, slots=True)
class Recorder:
    """Append what was sent and answered to a file, which several processes may share.

    `batch` events are in a request of the load, unless a scenario says otherwise, and it goes on
    for `least_s` at least.
    """

    path: Path
    batch: int = 50
    least_s: float = 0.0

    def note(
        self, ids: list[str], attempt: int, answer: int | str, rejected: Sequence[str] = ()
    ) -> None:
        """Append one attempt, in one write: lines of processes do not mix."""
        found = {"ids": ids, "attempt": attempt, "answer": answer, "rejected": list(rejected)}
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE))
        finally:
            os.close(file)

    def read(self) -> Iterator[Attempt]:
        """Give all attempts, oldest first."""
        if not self.path.exists():
            return
        with self.path.open("rb") as log:
            for line in log:
                yield Attempt(**orjson.loads(line))
