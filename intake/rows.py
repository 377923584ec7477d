"""Turn a checked event into the row that is stored: type, id, time, and what a value means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from event_ids import DAY_MS, MAX_ID_DRIFT_MS, id_day, id_ms, make_event_id
from event_types import (
    CATALOGUE,
    LINKING,
    SYNONYMS,
    VALUED,
    canonical_name,
    category_and_action,
)
from intake.actors import Suppressed, is_placeholder
from intake.contract import MAX_INT
from intake.deny import DenyList
from intake.moment import MomentError, format_ms, read_moment_ms

#: A client clock may run ahead by this much before the event's time is clamped to ours.
CLAMP_AHEAD_MS = 60_000
#: Events from further ahead are rejected.
MAX_AHEAD_MS = DAY_MS
#: Days between what the door still accepts and what the purge drops: an event waits in the inbox
#: for a while, and dropping a partition seals the days up to ID_DAY_MARGIN after its own.
RETENTION_MARGIN_DAYS = 5


class Row(msgspec.Struct, omit_defaults=True, gc=False):
    """One event: first as it was checked, and once it is complete, as the store reads it.

    The names are columns of the events table.
    """

    event_type: str
    event_id: Any = None
    occurred_at: Any = None
    event_category: str | None = None
    event_action: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    source: str | None = None
    device_type: str | None = None
    product_id: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    message_id: str | None = None
    duration_ms: int | None = None
    quantity: int | None = None
    value: float | None = None
    items: Any = None
    properties: Any = None
    context: Any = None
    excluded: str | None = None
    original_at: str | None = None
    clock: str | None = None


#: What the door finds out by itself; a client's field of such a name is one of its own.
OWN_FIELDS = ("original_at", "clock")


class BatchBody(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What one inbox entry holds: the fields all events share, and the rows."""

    received_at: str
    #: The words of the rejected messages, and where these came in. Few batches have any: whoever
    #: looks for them sees it at the head of the JSON.
    dialect: str | None = None
    path: str | None = None
    #: Messages that were not accepted and are kept.
    rejected: list[Any] | None = None
    events: list[Any]
    sent_at: str | None = None
    key_id: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a batch, and when it came: what its events share.

    `skew_ms` is by how much the sender's clock is behind ours, zero for a clock that is right;
    `excluded` why reports leave its events out.
    """

    received_ms: int
    sent_ms: int | None = None
    skew_ms: int = 0
    key_id: str = ""
    user_id: str | None = None
    anonymous_id: str | None = None
    idempotency_key: str | None = None
    source: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    excluded: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What this installation accepts."""

    max_event_bytes: int
    max_batch_events: int
    retention_days: int
    strict_types: bool = False
    deny_list: DenyList | None = None
    suppressed: Suppressed | None = None

    def oldest_ms(self, now_ms: int) -> int:
        """Give the oldest time that is accepted: retention less a margin, from midnight UTC."""
        return _oldest_ms(now_ms, self.retention_days)


class Rejected(Exception):
    """Say why an event is not accepted: a code for programs, a text for people."""

    def __init__(self, reason: str, detail: str, errors: Any = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.errors = errors


@lru_cache(maxsize=4096)
def resolve_type(name: str) -> tuple[str, str, str]:
    """Give the canonical name, category and action of an event type as it was sent."""
    found = canonical_name(name)
    if found not in CATALOGUE:
        snake = "_".join(name.lower().replace("-", " ").split())
        found = canonical_name(snake) if snake in SYNONYMS or snake in CATALOGUE else name
    return found, *category_and_action(found)


def make_row(event: Row, *, sender: Sender, rules: Rules, index: int) -> Row:
    """Complete a checked event, which becomes its row. Raises Rejected.

    What the client sent stays where it is: a copy would take as long as all else together. Its
    texts are texts, and none is empty.
    """
    kind, category, action = resolve_type(event.event_type)
    if rules.strict_types and kind not in CATALOGUE:
        raise Rejected(
            "unknown_type",
            f"event_type {event.event_type!r} is not in the catalogue of event types",
        )
    try:
        given_ms = None if event.occurred_at is None else read_moment_ms(event.occurred_at)
    except MomentError as error:
        raise Rejected(
            "invalid", "occurred_at: " + str(error), {"occurred_at": [str(error)]}
        ) from None
    client_id = event.event_id or event.message_id
    event_id = make_event_id(
        client_id or _idempotent_id(sender, index),
        key_id=sender.key_id,
        occurred_ms=given_ms,
        received_ms=sender.received_ms,
    )
    is_clients_id = client_id is not None and event_id == client_id.lower()
    if given_ms is None and is_clients_id:
        # The client made its UUIDv7 when the event happened.
        given_ms = id_ms(event_id)
    occurred_ms, event.clock = _judge_time(given_ms, event_id, sender, rules)
    if given_ms is not None and given_ms != occurred_ms:
        event.original_at = format_ms(given_ms)
    # The client's own text is kept where the id does not show it.
    if event.message_id is None:
        event.message_id = client_id
    if event.message_id == event_id:
        event.message_id = None
    event.event_id = event_id
    event.occurred_at = format_ms(occurred_ms)
    event.event_type = kind
    if event.event_category is None:
        event.event_category = category
    if event.event_action is None:
        event.event_action = action
    if sender.user_id is not None:
        event.user_id = sender.user_id
    if event.anonymous_id is None:
        event.anonymous_id = sender.anonymous_id
    if event.source is None:
        event.source = sender.source
    if event.excluded is None:
        event.excluded = sender.excluded
    if is_placeholder(event.user_id) or is_placeholder(event.anonymous_id):
        _drop_placeholders(event, kind)
    if rules.suppressed is not None and rules.suppressed.covers(event.user_id, event.anonymous_id):
        raise Rejected("opted_out", "this person's events are not taken")
    if rules.deny_list is not None:
        event.properties = rules.deny_list.clean(event.properties)
        event.context = rules.deny_list.clean(event.context)
        event.items = rules.deny_list.clean_items(event.items)
    if kind in VALUED and event.value is None and event.items is None and event.properties:
        _find_value(event)
    return event


def days_of(rows: list[Row]) -> list[date]:
    """List the days whose partitions the rows need."""
    ids = [row.event_id for row in rows]
    # Ids are in the order of their time, and most batches lie within one day.
    if len(ids) > 1 and id_day(min(ids)) == id_day(max(ids)):
        del ids[1:]
    days = {id_day(event_id) for event_id in ids}
    return sorted(day for day in days if day is not None)


def _drop_placeholders(event: Row, kind: str) -> None:
    """Take ids that name nobody for none; they must not link half of the world to one person."""
    for name in ("user_id", "anonymous_id"):
        value = getattr(event, name)
        if not is_placeholder(value):
            continue
        if kind in LINKING:
            raise Rejected("placeholder_id", f"{name} {value!r} names nobody")
        setattr(event, name, None)


def _idempotent_id(sender: Sender, index: int) -> str | None:
    """Name an event by its request and its place there, when the request has a name."""
    return f"{sender.idempotency_key}\0{index}" if sender.idempotency_key else None


def _judge_time(
    given_ms: int | None, event_id: str, sender: Sender, rules: Rules
) -> tuple[int, str | None]:
    """Give when an event happened by our clock, and what was found of the client's."""
    now_ms = sender.received_ms
    if given_ms is None:
        return now_ms, None
    occurred_ms, clock = given_ms, None
    if sender.skew_ms:
        occurred_ms, clock = _correct(given_ms, event_id, sender.skew_ms)
    if occurred_ms > now_ms + MAX_AHEAD_MS or given_ms > now_ms + MAX_AHEAD_MS:
        raise Rejected(
            "in_future", f"occurred_at is more than a day ahead of {format_ms(now_ms)}, our time"
        )
    if occurred_ms < _oldest_ms(now_ms, rules.retention_days):
        raise Rejected(
            "too_old",
            f"occurred_at {format_ms(occurred_ms)} is older than "
            f"{rules.retention_days - RETENTION_MARGIN_DAYS} days, the oldest that is kept",
        )
    if occurred_ms > now_ms + CLAMP_AHEAD_MS:
        return now_ms, "clamped"
    return occurred_ms, clock


def _correct(given_ms: int, event_id: str, skew_ms: int) -> tuple[int, str]:
    """Move a time by the skew of its clock, unless that parts it from its id by over a day.

    The id has the time as it was given, so that a retry gets the same one, and it names the
    partition in which the day's reports look.
    """
    corrected_ms = given_ms + skew_ms
    dated_ms = id_ms(event_id) or corrected_ms
    if abs(skew_ms) > MAX_ID_DRIFT_MS or abs(corrected_ms - dated_ms) > MAX_ID_DRIFT_MS:
        return given_ms, "wrong"
    return corrected_ms, "corrected"


# All events of a batch came at the same time.
@lru_cache(maxsize=256)
def _oldest_ms(now_ms: int, retention_days: int) -> int:
    return now_ms - now_ms % DAY_MS - (retention_days - RETENTION_MARGIN_DAYS) * DAY_MS


#: Where older clients put money and stars, by the counter that an event moves.
_AMOUNTS: dict[str | None, tuple[str, ...]] = {
    "sales": ("value", "revenue", "total", "amount"),
    "ratings": ("rating", "stars", "score", "value"),
}


def _find_value(row: Row) -> None:
    """Fill value and quantity from the properties, where older clients put them."""
    properties = row.properties
    if isinstance(properties, Raw):
        properties = msgspec.json.decode(properties)
    quantity = properties.get("quantity")
    if row.quantity is None and type(quantity) is int and 0 <= quantity <= MAX_INT:
        row.quantity = quantity
    counter = CATALOGUE[row.event_type].counter
    found = (properties.get(name) for name in _AMOUNTS[counter])
    row.value = next((float(amount) for amount in found if _is_amount(amount)), None)
    price = properties.get("price")
    if row.value is None and counter == "sales" and _is_amount(price):
        row.value = round(float(price) * (1 if row.quantity is None else row.quantity), 4)


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
