"""Requests and answers about dead letters."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from app.period import FIRST_DAY, LAST_DAY
from app.schemas.lists import PageQuery
from intake.contract import MAX_NAME
from intake.payload import check_payload
from models.dead_letter_list import ANY, DEAD, DISCARDED

#: Letters that one request works on: a second or two, in which other stores wait now and then.
MAX_LETTERS = 1000
_STATES = f"{DEAD}, {DISCARDED}"


def _day(description: str) -> fields.Date:
    return fields.Date(
        load_default=None,
        allow_none=True,
        validate=validate.Range(FIRST_DAY, LAST_DAY),
        metadata={"description": description},
    )


def _storable(text: str | None) -> None:
    check_payload(text)


def _filter(longest: int, description: str) -> fields.String:
    return fields.String(
        load_default=None,
        allow_none=True,
        validate=[validate.Length(1, longest), _storable],
        metadata={"description": description},
    )


class _Filters(Schema):
    """Which letters: those that meet every condition that is given."""

    reason = _filter(MAX_NAME, "why they are dead, such as refused, sealed, or a door's reason")
    event_type = _filter(MAX_NAME, "the type of the event, as far as it could be read")
    dialect = _filter(
        MAX_NAME,
        "the door that rejected them: segment, posthog, cloudevents; none: accepted events",
    )
    date_from = _day("kept on this day or later, in the reporting time zone")
    date_to = _day("kept before this day: ranges are half-open")


class LetterQuery(_Filters, PageQuery):
    """Which letters to list."""

    state = fields.String(
        load_default=DEAD,
        validate=validate.OneOf([DEAD, DISCARDED, ANY]),
        metadata={"description": f"{_STATES} or any"},
    )
    event_id = fields.UUID(
        load_default=None, metadata={"description": "the letter with this id alone"}
    )


class LetterCountQuery(_Filters):
    """Which letters to count."""

    state = fields.String(
        load_default=DEAD,
        validate=validate.OneOf([DEAD, DISCARDED, ANY]),
        metadata={"description": f"{_STATES} or any"},
    )


class LetterSelection(_Filters):
    """Letters to work on: `event_ids`, a filter, or `all` of them."""

    event_ids = fields.List(
        fields.UUID(),
        load_default=None,
        allow_none=True,
        validate=validate.Length(1, MAX_LETTERS),
        metadata={"description": f"up to {MAX_LETTERS:,} ids of letters"},
    )
    all = fields.Boolean(
        load_default=False, metadata={"description": "true: every letter, where nothing is named"}
    )
    limit = fields.Integer(
        strict=True,
        load_default=MAX_LETTERS,
        validate=validate.Range(1, MAX_LETTERS),
        metadata={"description": "work on so many at most, the oldest first"},
    )
    cursor = _filter(2000, "next_cursor of the answer before, to go on behind its letters")
    dry_run = fields.Boolean(
        load_default=False, metadata={"description": "true: count them, change nothing"}
    )


class ReplayRequest(LetterSelection):
    """Letters to be stored after all."""

    state = fields.String(
        load_default=DEAD,
        validate=validate.OneOf([DEAD, DISCARDED]),
        metadata={"description": f"letters in this state: {DEAD} or {DISCARDED}"},
    )


def _check_object(value: Any) -> None:
    if not value:
        raise ValidationError("Must name a field to change.")


class LetterPatch(Schema):
    """A merge patch (RFC 7386) of the event, or of the message in its own system's words."""

    event = fields.Dict(
        keys=fields.String(),
        required=True,
        validate=_check_object,
        metadata={
            "description": "fields to change, null to take one away: of the event; of a rejected "
            "message, in the words of its system"
        },
    )


class LetterSummary(Schema):
    """One dead letter, without what it holds."""

    event_id = fields.UUID(
        metadata={"description": "the letter's id; of an accepted event also the event's"}
    )
    state = fields.String(metadata={"description": f"{DEAD} or {DISCARDED}"})
    reason = fields.String(metadata={"description": "why it could not be stored, for programs"})
    detail = fields.String(metadata={"description": "the same for people"})
    dialect = fields.String(
        allow_none=True,
        metadata={"description": "the door that rejected it; null: an accepted event"},
    )
    event_type = fields.String(allow_none=True)
    size_bytes = fields.Integer(metadata={"description": "how long its text is"})
    created_at = fields.AwareDateTime(metadata={"description": "when it was kept"})
    edited_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "when it was edited"}
    )
    edited_by = fields.String(
        allow_none=True, metadata={"description": "the token that edited it, or command"}
    )
    tries = fields.Integer(metadata={"description": "replays that failed"})
    tried_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "when it was replayed last"}
    )
    discarded_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "when it was given up"}
    )
    discarded_by = fields.String(
        allow_none=True, metadata={"description": "the token that gave it up, or command"}
    )


class LetterList(Schema):
    """A page of dead letters, the newest first."""

    dead_letters = fields.List(
        fields.Nested(LetterSummary), required=True, metadata={"description": "the letters"}
    )
    next_cursor = fields.String(allow_none=True, required=True)


class LetterAnswer(LetterSummary):
    """One dead letter, and what it holds."""

    event = fields.Raw(
        allow_none=True,
        metadata={"description": "the event, or the message; null where it cannot be read"},
    )
    batch = fields.Raw(
        allow_none=True,
        metadata={"description": "what its batch shared: when it came, its key, its path"},
    )
    text = fields.String(
        allow_none=True,
        metadata={"description": "its text, cut off after 262,144 characters, where unreadable"},
    )
    original = fields.Raw(
        allow_none=True,
        metadata={"description": "the event as it came, where it was edited; or its text"},
    )


class LetterCount(Schema):
    """Letters of one reason."""

    reason = fields.String(metadata={"description": "why they could not be stored"})
    dialect = fields.String(
        allow_none=True,
        metadata={"description": "the door that rejected them; null: accepted events"},
    )
    letters = fields.Integer(metadata={"description": "how many letters"})
    recent = fields.Integer(metadata={"description": "how many of them were kept in the last day"})
    oldest = fields.AwareDateTime(metadata={"description": "when the first one was kept"})
    newest = fields.AwareDateTime(metadata={"description": "when the last one was kept"})


class LetterCounts(Schema):
    """Dead letters by reason, the most frequent first."""

    total = fields.Integer(metadata={"description": "how many letters"})
    reasons = fields.List(
        fields.Nested(LetterCount), metadata={"description": "how many of each reason and door"}
    )


class _Worked(Schema):
    """What a request did to letters, and where the next one goes on."""

    dry_run = fields.Boolean(metadata={"description": "true: nothing was changed"})
    letters = fields.Integer(metadata={"description": "letters that were chosen"})
    missing = fields.Integer(
        metadata={"description": "letters that were gone, or in another state"}
    )
    next_cursor = fields.String(
        allow_none=True, metadata={"description": "where to go on; null: there are no more"}
    )


class ReplayAnswer(_Worked):
    """What became of the letters of a replay."""

    stored = fields.Integer(metadata={"description": "events that are stored and counted now"})
    duplicate = fields.Integer(metadata={"description": "events that were stored already"})
    dead = fields.Integer(
        metadata={"description": "letters that failed again, each with its reason"}
    )
    refused = fields.Integer(
        metadata={"description": "letters of people who opted out or were erased: left alone"}
    )


class DiscardAnswer(_Worked):
    """What became of letters that were given up."""

    discarded = fields.Integer(metadata={"description": "letters that are given up now"})
