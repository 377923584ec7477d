"""Read the bodies of inbox entries, as little of them as is needed, whatever they are like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw

from event_ids import id_day, uuid8
from event_lines import as_json
from models.dead_letters import Refusal
from models.person import events_of_body


class _Body(msgspec.Struct, omit_defaults=True):
    received_at: str
    events: list[Raw]
    sent_at: str | None = None
    key_id: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None


class _Identified(msgspec.Struct):
    event_id: UUID


class _Timed(msgspec.Struct):
    occurred_at: datetime


class _OneIdentified(msgspec.Struct):
    events: tuple[_Identified]


class _OneTimed(msgspec.Struct):
    events: tuple[_Timed]


def split_bodies(bodies: Sequence[bytes]) -> list[bytes]:
    """Make of each event a body of its own, unchanged. What cannot be read stays whole."""
    return [single for body in bodies for single in _split(body)]


def without_events(body: bytes) -> bytes:
    """Leave of a batch what it carries beside its events; of what cannot be read, nothing."""
    try:
        fields = msgspec.json.decode(as_json(body), type=dict[str, Raw])
    except (msgspec.MsgspecError, RecursionError):
        fields = {}
    return msgspec.json.encode({**fields, "events": []})


def days_of_bodies(singles: Iterable[bytes]) -> set[date]:
    """Give the days whose partitions the events need, as far as their ids can be read."""
    days = set()
    for single in singles:
        event_id = read_id(single)
        try:
            day = None if event_id is None else id_day(event_id)
        except ValueError:
            # A year that no calendar has.
            continue
        if day is not None:
            days.add(day)
    return days


def read_id(single: bytes) -> str | None:
    """Read the id of a body's only event; None when it has none that could be stored."""
    try:
        return str(msgspec.json.decode(single, type=_OneIdentified).events[0].event_id)
    except (msgspec.MsgspecError, RecursionError):
        return None


def read_single(single: bytes) -> bytes:
    """Give the JSON of a body's only event; that of no event when it cannot be read."""
    events = events_of_body(single)
    return bytes(events[0]) if events else b"{}"


def read_day(single: bytes, *, zone: str) -> date | None:
    """Read the day of a body's only event in a time zone; None when it cannot be read."""
    try:
        event = msgspec.json.decode(single, type=_OneTimed).events[0]
        return event.occurred_at.astimezone(ZoneInfo(zone)).date()
    except (msgspec.MsgspecError, RecursionError, OverflowError):
        return None


def refuse(single: bytes, reason: str, detail: str) -> Refusal:
    """Write the refusal of a body's only event. One without an id gets it from its bytes."""
    text = single.decode(errors="replace").replace("\0", "\\u0000")
    return Refusal(
        event_id=read_id(single) or uuid8(0, text), reason=reason, detail=detail, event=text
    )


def _split(body: bytes) -> Iterator[bytes]:
    try:
        shared = msgspec.json.decode(as_json(body), type=_Body)
    except (msgspec.MsgspecError, RecursionError):
        yield body
        return
    for event in shared.events:
        yield msgspec.json.encode(msgspec.structs.replace(shared, events=[event]))
