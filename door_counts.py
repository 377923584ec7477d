"""What became of the events at each door: received, accepted, and rejected by reason.

A batch carries its counts through the inbox, and whoever takes it out adds them up in the same
transaction of Redis: to count costs the door nothing, and each batch is counted once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

DOORS = "millrace:doors"
RECEIVED, ACCEPTED = "received", "accepted"


@dataclass(frozen=True, slots=True)
class DoorCounts:
    """Count the events of one request, or of many that came in at one door."""

    door: str
    received: int
    accepted: int
    rejected: Mapping[str, int] = field(default_factory=dict)

    def as_text(self) -> str:
        """Write the counts as a batch carries them."""
        reasons = "".join(f" {reason}={count}" for reason, count in self.rejected.items())
        return f"{self.door} {self.received} {self.accepted}{reasons}"

    def as_log(self) -> dict[str, int]:
        """Give the rejected by reason as fields of a log line."""
        return {f"rejected_{reason}": count for reason, count in self.rejected.items()}

    @classmethod
    def from_text(cls, text: str) -> DoorCounts:
        """Read what `as_text` wrote."""
        door, received, accepted, *reasons = text.split()
        rejected = dict(reason.rsplit("=", 1) for reason in reasons)
        return cls(
            door, int(received), int(accepted), {name: int(n) for name, n in rejected.items()}
        )


def add_up(texts: Iterable[str]) -> list[DoorCounts]:
    """Add the counts that batches carry, door by door; a batch may carry none."""
    received: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    rejected: dict[str, Counter[str]] = {}
    # Most batches say the same: all of a few events was accepted.
    for text, batches in Counter(filter(None, texts)).items():
        item = DoorCounts.from_text(text)
        received[item.door] += batches * item.received
        accepted[item.door] += batches * item.accepted
        reasons = rejected.setdefault(item.door, Counter())
        reasons.update({name: batches * count for name, count in item.rejected.items()})
    return [DoorCounts(door, received[door], accepted[door], rejected[door]) for door in rejected]


def record(client: redis.Redis, counts: Iterable[DoorCounts]) -> None:
    """Add to the running counts of the doors, which every process shares."""
    for item in counts:
        amounts = {
            RECEIVED: item.received,
            ACCEPTED: item.accepted,
            **{f"rejected {reason}": count for reason, count in item.rejected.items()},
        }
        for name, amount in amounts.items():
            if amount:
                client.hincrby(DOORS, f"{item.door} {name}", amount)


def read_door_counts(client: redis.Redis) -> list[DoorCounts]:
    """Give the running counts, door by door."""
    found: Any = client.hgetall(DOORS)
    doors: dict[str, dict[str, int]] = {}
    for key, amount in found.items():
        door, name = key.decode().split(" ", 1)
        doors.setdefault(door, {})[name] = int(amount)
    return [
        DoorCounts(
            door,
            amounts.pop(RECEIVED, 0),
            amounts.pop(ACCEPTED, 0),
            {name.removeprefix("rejected "): amounts[name] for name in sorted(amounts)},
        )
        for door, amounts in sorted(doors.items())
    ]
