"""The columns of the table: what an SDK is made to do, and what goes wrong meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.conformance.proxy import MARK, Answer, DropAnswer, Fault, HoldAnswer

Step = dict[str, Any]

#: More events than one batch of any of the SDKs holds.
MANY = 120


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A column: its steps (of a name that is unlike any other cell's), faults and expectation."""

    name: str
    title: str
    steps: Callable[[str], list[Step]]
    faults: tuple[Fault, ...] = ()
    #: How often each event is sent; None: it does not matter.
    attempts: int | None = 1
    gzip: bool = False
    known_key: bool = True
    leaves: bool = False
    #: What stands behind the host's name.
    prefix: str = ""


def track(cell: str, number: int, event: str, properties: Step | None = None, **more: Any) -> Step:
    """Make a call of track whose event can be told from all others."""
    marked = {**(properties or {}), "mark": f"{MARK}{cell}-{number}"}
    return {
        "call": "track",
        "user_id": f"user of {cell}",
        "event": event,
        "properties": marked,
        **more,
    }


def _deliver(cell: str) -> list[Step]:
    hour_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    rich = {"name": "Für Elise ✓", "plays": 3, "loud": 0.5, "tags": ["a", "b"], "deep": {"x": True}}
    return [
        track(cell, 1, "Song Played", rich),
        track(cell, 2, "Song Skipped", {}),
        track(cell, 3, "Song Played", {}, timestamp=hour_ago.isoformat()),
    ]


def _identify(cell: str) -> list[Step]:
    anonymous, user = f"anonymous of {cell}", f"user of {cell}"
    return [
        track(cell, 1, "Song Played", {}, user_id=None, anonymous_id=anonymous),
        {
            "call": "identify",
            "user_id": user,
            "anonymous_id": anonymous,
            "traits": {"email": "jo@example.com", "plan": "free"},
        },
        track(cell, 2, "Song Played", {}),
    ]


def _shop(cell: str) -> list[Step]:
    mug = {"product_id": f"mug of {cell}", "name": "Mug", "price": 9.5, "currency": "EUR"}
    lines = [
        {"product_id": mug["product_id"], "quantity": 2, "price": 9.5},
        {"product_id": f"tea of {cell}", "quantity": 1, "price": 6.0},
    ]
    order = {"order_id": cell, "revenue": 25.0, "currency": "EUR", "products": lines}
    return [
        track(cell, 1, "Product Viewed", mug),
        track(cell, 2, "Product Added", {**mug, "quantity": 2}),
        track(cell, 3, "Order Completed", order),
    ]


def _one(cell: str) -> list[Step]:
    return [track(cell, 1, "Song Played", {"plays": 1})]


def _few(cell: str) -> list[Step]:
    return [track(cell, number, "Song Played", {"plays": number}) for number in range(1, 4)]


def _many(cell: str) -> list[Step]:
    return [track(cell, number, "Song Played", {"plays": number}) for number in range(MANY)]


BEHAVIOURS = (
    Behaviour("delivery", "delivery", _deliver),
    Behaviour("identify", "identity", _identify),
    Behaviour("shop", "shop events", _shop),
    Behaviour("gzip", "gzip", _few, gzip=True),
    Behaviour("error", "500, then 200", _one, (Answer(500),), attempts=2),
    Behaviour(
        "unavailable",
        "503 with Retry-After",
        _one,
        (Answer(503, (("Retry-After", "1"),)),),
        attempts=2,
    ),
    Behaviour("dropped", "answer lost", _one, (DropAnswer(),), attempts=2),
    Behaviour("shutdown", "end of process", _many, (HoldAnswer(1.5),)),
    # What is on its way when the page goes gets no answer, and is sent again by the next page.
    Behaviour("unload", "page left", _few, (HoldAnswer(1.0),) * 3, leaves=True, attempts=None),
    Behaviour("prefix", "below /mr", _few, prefix="/mr"),
    Behaviour("unknown-key", "unknown key", _one, known_key=False),
)
