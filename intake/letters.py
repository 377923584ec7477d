"""Dead letters opened: the parts of their texts, to be read again or edited.

A letter's text is its batch with one event alone: a row of ours, or under a dialect a message in
another system's words, with who it is of beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from event_lines import as_json
from intake.moment import MomentError, format_ms, read_moment_ms
from intake.request import note_sent
from intake.rows import Rejected, Rules, Sender
from intake.skew import Clock
from intake.traffic import exclusion_of

UNREADABLE = "unreadable"
_SHARED = ("received_at", "sent_at", "key_id", "ip_address", "user_agent")


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: its id, whose words it is in, what its batch shared, and its event.

    `event` is None where `text` cannot be read as the batch of one event.
    """

    letter_id: str
    dialect: str | None
    shared: dict[str, Any]
    event: dict[str, Any] | None
    text: str = ""

    @property
    def key_id(self) -> str:
        """Give the id of the write key that it came with; empty without one."""
        found = self.shared.get("key_id")
        return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class LetterRules:
    """What an installation accepts now, for events and for messages of other systems."""

    events: Rules
    messages: Rules


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What a write key says of the events that came with it."""

    source: str | None = None
    is_test: bool = False


def open_letter(text: str, *, letter_id: str, dialect: str | None, created_at: datetime) -> Letter:
    """Part a letter's text. What cannot be read came when it was kept, as far as is known."""
    text = as_json(text.encode()).decode()
    try:
        batch = orjson.loads(text)
    except orjson.JSONDecodeError:
        batch = None
    shared = {"received_at": format_ms(int(created_at.timestamp() * 1000))}
    if not isinstance(batch, dict):
        return Letter(letter_id, dialect, shared, None, text)
    events = batch.pop("events", None)
    known = {name: batch[name] for name in (*_SHARED, "path") if isinstance(batch.get(name), str)}
    shared |= {name: value for name, value in known.items() if _is_sound(name, value)}
    if not isinstance(events, list) or len(events) != 1 or not isinstance(events[0], dict):
        return Letter(letter_id, dialect, shared, None, text)
    return Letter(letter_id, dialect, shared, events[0], text)


def write_letter(letter: Letter) -> str:
    """Write a letter as the text it is kept as."""
    dialect = {} if letter.dialect is None else {"dialect": letter.dialect}
    return write_json({**dialect, **letter.shared, "events": [letter.event]}).decode()


def sender_of(letter: Letter, key: KeyFacts) -> Sender:
    """Say who sent a letter; what names no event gets its id from the letter's."""
    shared = letter.shared
    agent = shared.get("user_agent")
    sender = Sender(
        received_ms=read_moment_ms(shared["received_at"]),
        key_id=letter.key_id,
        idempotency_key=f"dead letter {letter.letter_id}",
        source=key.source,
        ip_address=shared.get("ip_address"),
        user_agent=agent,
        excluded="test" if key.is_test else exclusion_of(agent),
    )
    return note_sent(
        sender,
        shared.get("sent_at"),
        device=None,
        skew_of=lambda _, sent_ms: _skew(sender.received_ms - sent_ms),
    )


def _skew(seen_ms: int) -> int:
    return Clock(0, seen_ms, seen_ms).correction_ms


def _is_sound(name: str, value: str) -> bool:
    if name not in ("received_at", "sent_at"):
        return True
    try:
        read_moment_ms(value)
    except (MomentError, OverflowError):
        return False
    return True


def write_json(value: Any) -> bytes:
    """Write JSON that every reader behind the door takes. Raises Rejected."""
    try:
        return json.dumps(
            value, allow_nan=False, ensure_ascii=False, separators=(",", ":")
        ).encode()
    except (ValueError, RecursionError) as error:
        raise Rejected("invalid", f"the event cannot be read: {error}") from None


def invalid(field: str, message: str) -> Rejected:
    """Say what is wrong with one field, as the contract does."""
    return Rejected("invalid", f"{field}: {message}", {field: [message]})
