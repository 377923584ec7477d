"""Dead letters looked at and edited, but for those of people whose events are not taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from intake.letter_edit import edit_letter
from intake.letters import KeyFacts, Letter, LetterRules, open_letter, write_letter
from models.api_keys import ApiKey
from models.dead_letters import DeadLetter, read_event_type
from models.letter_people import is_of_suppressed
from models.store import Limits, read_limits


class LetterGone(Exception):
    """There is no such letter (any more)."""


class LetterWithheld(Exception):
    """The letter is of a person who opted out or was erased."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What an installation's settings say of events that come now."""

    rules: LetterRules
    zone: str
    secret_key: str


def show_letter(session: Session, event_id: UUID, *, secret_key: str) -> DeadLetter:
    """Read a letter whole. Raises LetterGone, LetterWithheld, SecretKeyMissingError."""
    row = session.get(DeadLetter, event_id)
    if row is None:
        raise LetterGone
    check_person(session, row, read_limits(session, secret_key=secret_key))
    return row


def change_letter(
    session: Session,
    event_id: UUID,
    patch: dict[str, object],
    *,
    here: Installation,
    by: str,
    now: datetime,
) -> DeadLetter:
    """Edit a letter's event, and keep what it was before. Raises Rejected and as `show_letter`."""
    row = session.get(DeadLetter, event_id, with_for_update=True)
    if row is None or row.discarded_at is not None:
        raise LetterGone
    check_person(session, row, read_limits(session, secret_key=here.secret_key))
    letter = open_row(row, row.event)
    edited = edit_letter(letter, patch, key=read_key(session, letter), rules=here.rules)
    written = write_letter(edited)
    if row.original is None:
        row.original = row.event
    row.event, row.event_type = written, read_event_type(written)
    row.edited_at, row.edited_by = now, by
    session.flush()
    return row


def check_person(session: Session, row: DeadLetter, limits: Limits) -> None:
    """Withhold a letter of a suppressed person, and one that was theirs before it was edited."""
    for held in (row.event, row.original):
        if held is not None and is_of_suppressed(
            session, held, dialect=row.dialect, salts=limits.salts
        ):
            raise LetterWithheld


def open_row(row: DeadLetter, held: str) -> Letter:
    """Read what a letter holds, or held before it was edited."""
    return open_letter(
        held, letter_id=str(row.event_id), dialect=row.dialect, created_at=row.created_at
    )


def read_key(session: Session, letter: Letter) -> KeyFacts:
    """Read what the write key of a rejected message says of it."""
    key = session.get(ApiKey, letter.key_id) if letter.key_id and letter.dialect else None
    return KeyFacts() if key is None else KeyFacts(key.source, key.test)
