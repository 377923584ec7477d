"""Keep the messages that a dialect's door rejects: its answer is 200, so nobody else would know."""

from __future__ import annotations

from app.sender import keep_address
from app.state import State
from intake.quarantine import Letter, make_letter
from intake.request import Reading

#: Of one request. The SDKs' batches are not larger.
MAX_LETTERS = 100


def keep_rejected(here: State, reading: Reading, *, dialect: str) -> list[Letter]:
    """Make what is kept of the rejected messages of a request; the others are only counted."""
    sender = reading.sender
    letters: list[Letter] = []
    for reject in reading.rejects[:MAX_LETTERS]:
        letter = make_letter(
            reject,
            dialect=dialect,
            sender=sender,
            rules=here.sdk_rules,
            keep_address=lambda address: keep_address(address, here, now_ms=sender.received_ms),
        )
        if letter is None:
            continue
        size_bytes = 0 if letter.message is None else len(memoryview(letter.message))
        if not here.quarantine.spend(sender.key_id, size_bytes, now_ms=sender.received_ms):
            break
        letters.append(letter)
    return letters
