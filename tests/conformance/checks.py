"""What must be true of a cell: each event once, with its person, time, type and properties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from event_types import canonical_name
from models.events import Event
from models.identities import IdentityLink
from models.product_metrics import ProductMetrics
from tests.conformance.proxy import MARK, Exchange
from tests.conformance.scenarios import Behaviour, Step
from tests.conformance.sdks import BROWSER, Sdk

#: How far the stored time may be from the call.
CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A cell's evidence: what was asked for, what went over the wire, and what is stored."""

    sdk: Sdk
    behaviour: Behaviour
    steps: Sequence[Step]
    #: When each step was begun, and when all were done.
    times: Sequence[float]
    deliveries: Sequence[Exchange]
    stored: Sequence[Event]

    def attempts(self, mark: str) -> list[int]:
        """Give the status of each attempt to deliver one event; 0: no answer came through."""
        return [each.status for each in self.deliveries if f'"{mark}"' in each.text]

    def tracked(self) -> Iterator[tuple[Step, tuple[float, float], str]]:
        """Give the steps that send an event, each with its beginning and end, and its mark."""
        for step, during in zip(self.steps, pairwise(self.times), strict=True):
            if step["call"] == "track":
                yield step, during, step["properties"]["mark"]


def read_stored(engine: Engine, cell: str) -> list[Event]:
    """Read the events whose mark is of a cell, whoever sent them, oldest first."""
    mark = Event.properties["mark"].astext
    found = select(Event).where(mark.startswith(f"{MARK}{cell}-")).order_by(Event.occurred_at)
    with Session(engine, expire_on_commit=False) as session:
        return list(session.scalars(found))


def find_problems(seen: Seen, engine: Engine, *, key_id: str) -> Iterator[str]:
    """Give a sentence for each thing that is not as it must be."""
    if not seen.behaviour.known_key:
        yield from _refused_problems(seen)
        return
    prefix = seen.behaviour.prefix
    if seen.behaviour.gzip and not all(each.is_gzipped for each in seen.deliveries):
        yield "not all requests were packed"
    outside = [each.path for each in seen.deliveries if not each.path.startswith(prefix)]
    if outside:
        yield f"requests went past {prefix}: {outside}"
    if any(row.key_id != key_id for row in seen.stored):
        yield "not all events are of the write key"
    counts = Counter(row.properties["mark"] for row in seen.stored)
    rows = {row.properties["mark"]: row for row in seen.stored}
    for step, during, mark in seen.tracked():
        if counts[mark] != 1:
            yield f"{mark} is stored {counts[mark]} times, after {seen.attempts(mark)}"
            continue
        yield from _event_problems(seen, rows[mark], step, during)
        statuses = seen.attempts(mark)
        if seen.behaviour.attempts and not _is_orderly(statuses, least=seen.behaviour.attempts):
            yield f"{mark} was answered {statuses}"
    if seen.behaviour.name == "identify":
        yield from _link_problems(seen, engine)
    if seen.behaviour.name == "shop":
        yield from _metrics_problems(seen, engine)


def _is_orderly(statuses: Sequence[int], *, least: int) -> bool:
    """Tell whether an event was sent again while it was not taken, and never after.

    A busy server may ask for one attempt more than the faults did.
    """
    failed, last = statuses[:-1], statuses[-1:]
    return (
        len(statuses) >= least
        and all(200 <= status < 300 for status in last)
        and all(status == 0 or status >= 429 for status in failed)
    )


def _refused_problems(seen: Seen) -> Iterator[str]:
    if seen.stored:
        yield f"{len(seen.stored)} events are stored"
    for _, _, mark in seen.tracked():
        statuses = seen.attempts(mark)
        if statuses not in ([], [401]):
            yield f"the answers were {statuses}, not one 401"


def _event_problems(
    seen: Seen, row: Event, step: Step, during: tuple[float, float]
) -> Iterator[str]:
    snake = step["event"].lower().replace(" ", "_")
    known = canonical_name(snake)
    # A name that is not the catalogue's is kept as the SDK sent it.
    sent = (known,) if known != snake else (snake, step["event"], f"com.shop.{snake}")
    if row.event_type not in sent:
        yield f"the type is {row.event_type}, not {sent[0]}"
    begin, end = during
    if "timestamp" in step and seen.sdk.takes_time:
        begin = end = datetime.fromisoformat(step["timestamp"]).timestamp()
    stored = row.occurred_at.timestamp()
    if not begin - CLOSE_S <= stored <= end + CLOSE_S:
        yield f"{step['event']} is stored {stored - begin:+.1f} s beside its time"
    if row.excluded:
        yield f"excluded as {row.excluded}"
    yield from _person_problems(seen, row, step)
    kept = dict(row.properties or {})
    for name, value in step["properties"].items():
        if kept.get(name) != value and not _is_column(row, name, value):
            yield f"property {name} is {kept.get(name)!r}, not {value!r}"


def _is_column(row: Event, name: str, value: Any) -> bool:
    """Tell whether a property became a column: the product of an event, its quantity, its lines."""
    if name == "products":
        return [line["product_id"] for line in value] == [
            line["product_id"] for line in row.items or []
        ]
    return bool(getattr(row, name, None) == value)


def _person_problems(seen: Seen, row: Event, step: Step) -> Iterator[str]:
    person = (row.user_id, row.anonymous_id)
    if seen.sdk.runtime == BROWSER:
        known = any(each["call"] == "identify" for each in _before(seen.steps, step))
        if known and row.user_id != step["user_id"]:
            yield f"the user is {row.user_id}, not {step['user_id']}"
        if not known and (row.user_id or not row.anonymous_id):
            yield f"the person is {person}, not an anonymous one"
        return
    meant = (step.get("user_id"), step.get("anonymous_id"))
    if person != meant:
        yield f"the person is {person}, not {meant}"


def _before(steps: Sequence[Step], step: Step) -> Sequence[Step]:
    return steps[: next(i for i, each in enumerate(steps) if each is step)]


def _link_problems(seen: Seen, engine: Engine) -> Iterator[str]:
    first, identify = seen.steps[0], seen.steps[1]
    anonymous = first["anonymous_id"]
    if seen.sdk.runtime == BROWSER:
        anonymous = next((row.anonymous_id for row in seen.stored if not row.user_id), None)
    with Session(engine) as session:
        link = session.get(IdentityLink, anonymous) if anonymous else None
        if link is None or link.user_id != identify["user_id"]:
            yield f"{anonymous} is linked to {link and link.user_id}, not {identify['user_id']}"


def _metrics_problems(seen: Seen, engine: Engine) -> Iterator[str]:
    mug, tea = (line["product_id"] for line in seen.steps[-1]["properties"]["products"])
    with Session(engine) as session:
        for product_id, meant in {mug: (1, 1, 2, 19.0), tea: (0, 0, 1, 6.0)}.items():
            row = session.get(ProductMetrics, product_id)
            found = row and (
                row.total_views,
                row.total_cart_additions,
                row.total_sales,
                float(row.total_revenue),
            )
            if found != meant:
                yield f"{product_id}: views, carts, units and revenue are {found}, not {meant}"
