"""What a dead letter holds, for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from intake.letters import open_letter
from models.dead_letter_list import DEAD, DISCARDED
from models.dead_letters import DeadLetter

#: Of a text that cannot be read, so much is shown.
MAX_TEXT = 262_144

_SHOWN = (
    "event_id", "reason", "detail", "dialect", "event_type", "created_at", "edited_at",
    "edited_by", "tries", "tried_at", "discarded_at", "discarded_by",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Held:
    event: Any
    batch: dict[str, Any] | None
    text: str | None


def describe_letter(row: DeadLetter) -> dict[str, Any]:
    """Give a letter with its event and what it was before an edit."""
    held = _read(row, row.event)
    before = None if row.original is None else _read(row, row.original)
    return {
        **{name: getattr(row, name) for name in _SHOWN},
        "state": state_of(row),
        "size_bytes": len(row.event.encode()),
        "event": held.event,
        "batch": held.batch,
        "text": held.text,
        "original": before and (before.event if before.text is None else before.text),
    }


def state_of(row: Any) -> str:
    """Say whether a letter waits for somebody or is given up."""
    return DEAD if row.discarded_at is None else DISCARDED


def _read(row: DeadLetter, text: str) -> _Held:
    letter = open_letter(
        text, letter_id=str(row.event_id), dialect=row.dialect, created_at=row.created_at
    )
    if letter.event is None:
        return _Held(None, None, text[:MAX_TEXT])
    is_message = letter.dialect is not None and "message" in letter.event
    event = letter.event["message"] if is_message else letter.event
    return _Held(event, letter.shared, None)
