"""Dead letters: list, read, edit, replay, discard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from app.auth import current_caller, require_scope
from app.blueprint import ApiBlueprint
from app.clock import now
from app.database import current_session, db
from app.errors import Problem
from app.letter_rules import installation_here
from app.paging import cut_page, read_cursor, write_cursor
from app.schemas import examples
from app.schemas.dead_letters import (
    DiscardAnswer,
    LetterAnswer,
    LetterCountQuery,
    LetterCounts,
    LetterList,
    LetterPatch,
    LetterQuery,
    LetterSelection,
    ReplayAnswer,
    ReplayRequest,
)
from app.state import state
from intake.rows import Rejected
from models.dead_letter_list import (
    DEAD,
    LetterFilter,
    Place,
    count_by_reason,
    discard_letters,
    read_letters,
    read_places,
)
from models.letter_edit import LetterGone, LetterWithheld, change_letter, show_letter
from models.letter_text import describe_letter, state_of
from models.replay import replay_letters
from models.suppressions import SecretKeyMissingError

blueprint = ApiBlueprint(
    "dead_letters", __name__, url_prefix="/api/dead-letters", description="Dead letters"
)

_RECENT = timedelta(days=1)
_NAMED = ("event_ids", "reason", "event_type", "dialect", "date_from", "date_to")
_WITHHELD = {"409": {"description": "The letter is of a person who opted out or was erased"}}


@blueprint.route("")
@blueprint.doc(summary="Events that could not be stored, newest first")
@require_scope("admin")
@blueprint.arguments(LetterQuery, location="query")
@blueprint.response(200, LetterList)
def list_letters(query: dict[str, Any]) -> dict[str, Any]:
    """Give a page of letters, without what they hold: ask for one by its id to see that."""
    cursor, limit = query["cursor"], query["limit"]
    wanted = _filter_of(query)
    before = read_cursor(cursor, (datetime, UUID)) if cursor else None
    found = read_letters(current_session(), wanted, before=_place_of(before), limit=limit + 1)
    page, last = cut_page(found, limit)
    return {
        "dead_letters": [{**row._mapping, "state": state_of(row)} for row in page],
        "next_cursor": last and write_cursor(last.created_at, last.event_id),
    }


@blueprint.route("/counts")
@blueprint.doc(summary="Dead letters by reason")
@require_scope("admin")
@blueprint.arguments(LetterCountQuery, location="query")
@blueprint.response(200, LetterCounts)
def count_letters(query: dict[str, Any]) -> dict[str, Any]:
    """Count letters by reason and door, the most frequent first."""
    counted = count_by_reason(current_session(), _filter_of(query), recent_since=now() - _RECENT)
    return {"total": sum(row.letters for row in counted), "reasons": counted}


@blueprint.route("/<uuid:letter_id>")
@blueprint.doc(summary="One dead letter, with what it holds", responses=_WITHHELD)
@require_scope("admin")
@blueprint.response(200, LetterAnswer)
def get_letter(letter_id: UUID) -> dict[str, Any]:
    """Give a letter, its event, and what that was before an edit."""
    with _problems(letter_id):
        secret_key = state().settings.secret_key
        return describe_letter(show_letter(current_session(), letter_id, secret_key=secret_key))


@blueprint.route("/<uuid:letter_id>", methods=["PATCH"])
@blueprint.doc(summary="Edit a dead letter's event", responses=_WITHHELD)
@require_scope("admin")
@blueprint.arguments(LetterPatch, example=examples.LETTER_PATCH)
@blueprint.response(200, LetterAnswer)
def edit_letter(body: dict[str, Any], letter_id: UUID) -> dict[str, Any]:
    """Change the event, which must be one that its door accepts now; what it was is kept.

    Nothing is stored yet: replay the letter. An accepted event keeps its id.
    """
    session = current_session()
    with _problems(letter_id):
        row = change_letter(
            session, letter_id, body["event"], here=installation_here(), by=_caller(), now=now()
        )
        session.commit()
        return describe_letter(row)


@blueprint.route("/<uuid:letter_id>", methods=["DELETE"])
@blueprint.doc(summary="Discard a dead letter")
@require_scope("admin")
@blueprint.response(200, DiscardAnswer)
def discard_letter(letter_id: UUID) -> dict[str, Any]:
    """Give a letter up. It is kept, with who did it, until retention deletes it."""
    session = current_session()
    discarded = discard_letters(session, [letter_id], by=_caller(), now=now())
    session.commit()
    if not discarded:
        raise _gone(letter_id)
    return _worked([letter_id], None) | {"discarded": discarded, "missing": 0}


@blueprint.route("/<uuid:letter_id>/replay", methods=["POST"])
@blueprint.doc(summary="Replay a dead letter")
@require_scope("admin")
@blueprint.response(200, ReplayAnswer)
def replay_letter(letter_id: UUID) -> dict[str, Any]:
    """Store the letter's event, once. One that fails again stays, with the new reason."""
    answer = _replay([letter_id], None, DEAD)
    if answer["missing"]:
        raise _gone(letter_id)
    return answer


@blueprint.route("/replay", methods=["POST"])
@blueprint.doc(summary="Replay dead letters")
@require_scope("admin")
@blueprint.arguments(ReplayRequest, example=examples.LETTERS)
@blueprint.response(200, ReplayAnswer)
def replay_many(body: dict[str, Any]) -> dict[str, Any]:
    """Store the events of up to 1,000 letters, the oldest first; ask again with the cursor.

    Each is stored once, however often this is asked for.
    """
    ids, following = _choose(body, body["state"])
    if body["dry_run"]:
        return _worked(ids, following, dry_run=True)
    return _replay(ids, following, body["state"])


@blueprint.route("/discard", methods=["POST"])
@blueprint.doc(summary="Discard dead letters")
@require_scope("admin")
@blueprint.arguments(LetterSelection, example=examples.LETTERS)
@blueprint.response(200, DiscardAnswer)
def discard_many(body: dict[str, Any]) -> dict[str, Any]:
    """Give up to 1,000 letters up, the oldest first. They are kept until retention deletes them."""
    ids, following = _choose(body, DEAD)
    if body["dry_run"]:
        return _worked(ids, following, dry_run=True)
    session = current_session()
    discarded = discard_letters(session, ids, by=_caller(), now=now())
    session.commit()
    return _worked(ids, following) | {
        "discarded": discarded,
        "missing": len(set(ids)) - discarded,
    }


def _replay(ids: list[UUID], following: str | None, wanted_state: str) -> dict[str, Any]:
    try:
        done = replay_letters(
            db.engine, ids, here=installation_here(), now=now(), state=wanted_state
        )
    except SecretKeyMissingError as error:
        raise Problem(503, "secret_key_missing", str(error)) from None
    return _worked(ids, following) | done.as_dict()


def _choose(body: dict[str, Any], wanted_state: str) -> tuple[list[UUID], str | None]:
    """Give the ids of the letters that a request names, and from where the next one goes on."""
    if not body["all"] and all(body[name] is None for name in _NAMED):
        raise Problem(
            422, "nothing_named", 'name letters by event_ids or a filter, or say "all": true'
        )
    if body["event_ids"] is not None and not _filters(body):
        return body["event_ids"], None
    cursor, limit = body["cursor"], body["limit"]
    after = read_cursor(cursor, (datetime, UUID)) if cursor else None
    wanted = _filter_of({**body, "state": wanted_state})
    found = read_places(current_session(), wanted, after=_place_of(after), limit=limit + 1)
    page, last = cut_page(found, limit)
    return [event_id for _, event_id in page], last and write_cursor(*last)


def _filters(body: dict[str, Any]) -> bool:
    return any(body[name] is not None for name in _NAMED if name != "event_ids")


def _filter_of(query: dict[str, Any]) -> LetterFilter:
    one, several = query.get("event_id"), query.get("event_ids")
    event_ids = (one,) if one is not None else several and tuple(several)
    return LetterFilter(
        state=query["state"],
        reason=query["reason"],
        event_type=query["event_type"],
        dialect=query["dialect"],
        since=_midnight(query["date_from"]),
        until=_midnight(query["date_to"]),
        event_ids=event_ids,
    )


def _midnight(day: date | None) -> datetime | None:
    zone = state().settings.zone
    return None if day is None else datetime.combine(day, time(), tzinfo=zone)


def _place_of(keys: tuple[Any, ...] | None) -> Place | None:
    return None if keys is None else (keys[0], keys[1])


def _worked(ids: list[UUID], following: str | None, *, dry_run: bool = False) -> dict[str, Any]:
    return {"dry_run": dry_run, "letters": len(set(ids)), "next_cursor": following}


def _caller() -> str:
    caller = current_caller()
    return caller.key_id if caller else ""


def _gone(letter_id: UUID) -> Problem:
    return Problem(404, "unknown_letter", f"there is no dead letter {letter_id} (any more)")


@contextmanager
def _problems(letter_id: UUID) -> Iterator[None]:
    """Answer what is wrong with a letter as a problem."""
    try:
        yield
    except LetterGone:
        raise _gone(letter_id) from None
    except LetterWithheld:
        raise Problem(
            409, "opted_out", "this letter is of a person who opted out or was erased: discard it"
        ) from None
    except SecretKeyMissingError as error:
        raise Problem(503, "secret_key_missing", str(error)) from None
    except Rejected as verdict:
        errors = verdict.errors or {"event": [verdict.detail]}
        raise Problem(
            422,
            "invalid",
            f"its door would not accept this: {verdict.detail}",
            errors={"json": errors},
            reason=verdict.reason,
        ) from None
