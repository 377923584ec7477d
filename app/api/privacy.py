"""Privacy: opt-outs, erasures with receipts, and everything that is held about one person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import structlog
from flask import Response

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.clock import now
from app.database import current_session, db
from app.errors import Problem
from app.paging import cut_page, read_cursor, write_cursor
from app.people import connect_inbox, installation_salts, open_inbox, person_of
from app.schemas import examples
from app.schemas.lists import PageQuery
from app.schemas.privacy import (
    ErasureAccepted,
    ErasureList,
    OptOutAnswer,
    PersonRequest,
    Receipt,
    Verification,
)
from app.state import state
from models.erasures import (
    DONE,
    NOTES,
    Erasure,
    is_genuine,
    list_erasures,
    receipt_of,
    request_erasure,
)
from models.holdings import count_held, stream_held
from models.person import Person
from models.suppressions import ERASED, OPT_OUT, lift, read_reasons, suppress

log = structlog.get_logger()

_AWAY = {"503": {"description": "SECRET_KEY is not set, or the inbox is away"}}

blueprint = ApiBlueprint(
    "privacy", __name__, url_prefix="/api/privacy", description="Opt-out, erasure, export"
)


@blueprint.route("/opt-out/", methods=["POST"])
@blueprint.doc(summary="Take no more events of a person", responses=_AWAY)
@require_scope("admin")
@blueprint.arguments(PersonRequest, example=examples.PERSON)
@blueprint.response(200, OptOutAnswer)
def opt_out(body: dict[str, Any]) -> dict[str, Any]:
    """Refuse a person's events from now on. What is held stays.

    A user's linked anonymous ids opt out with the user.
    """
    session, salts = current_session(), installation_salts()
    person = person_of(body).with_linked(session)
    digests = salts.digests(person.user_id, person.anonymous_ids)
    changed = suppress(session, salts, digests, reason=OPT_OUT)
    session.commit()
    state().suppressed.refresh()
    return _status(person_of(body), changed)


@blueprint.route("/opt-out/", methods=["DELETE"])
@blueprint.doc(summary="Take a person's events again", responses=_AWAY)
@require_scope("admin")
@blueprint.arguments(PersonRequest, location="query")
@blueprint.response(200, OptOutAnswer)
def opt_in(query: dict[str, Any]) -> dict[str, Any]:
    """Take back an opt-out. An erasure cannot be taken back."""
    session, salts = current_session(), installation_salts()
    person = person_of(query).with_linked(session)
    changed = lift(session, salts.digests(person.user_id, person.anonymous_ids))
    session.commit()
    state().suppressed.refresh()
    return _status(person_of(query), changed)


@blueprint.route("/opt-out/")
@blueprint.doc(summary="Whether a person's events are refused", responses=_AWAY)
@require_scope("read")
@blueprint.arguments(PersonRequest, location="query")
@blueprint.response(200, OptOutAnswer)
def read_opt_out(query: dict[str, Any]) -> dict[str, Any]:
    """Tell whether a person opted out or was erased."""
    return _status(person_of(query), 0)


@blueprint.route("/erase/", methods=["POST"])
@blueprint.doc(summary="Erase a person", responses=_AWAY)
@require_scope("erase")
@blueprint.arguments(PersonRequest, example=examples.PERSON)
@blueprint.response(202, ErasureAccepted)
def erase(body: dict[str, Any]) -> dict[str, Any]:
    """Refuse a person's events from now on, and begin to delete everything that is held.

    Linked anonymous ids go with their user. A worker does it within seconds; fetch the receipt
    from the url of the answer.
    """
    session = current_session()
    erasure = request_erasure(session, installation_salts(), person_of(body), now=now())
    erasure_id, status = str(erasure.erasure_id), erasure.status
    session.commit()
    state().suppressed.refresh()
    try:
        state().bell.send("privacy.erase", queue="default", kwargs={"erasure_id": erasure_id})
    except Exception as error:
        # It is recorded: the timetable finds it within a quarter of an hour.
        log.warning("erasure_waits", erasure_id=erasure_id, error=type(error).__name__)
    return {
        "erasure_id": erasure_id,
        "status": status,
        "url": f"{blueprint.url_prefix}/erasures/{erasure_id}",
    }


@blueprint.route("/erasures/")
@blueprint.doc(summary="Receipts of erasures")
@require_scope("erase")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, ErasureList)
def erasures(query: dict[str, Any]) -> dict[str, Any]:
    """List erasures with their receipts, newest first."""
    cursor, limit = query["cursor"], query["limit"]
    before = read_cursor(cursor, (UUID,))[0] if cursor else None
    found = list_erasures(current_session(), before=before, limit=limit + 1)
    page, last = cut_page(found, limit)
    return {
        "erasures": [_signed(erasure) for erasure in page],
        "next_cursor": last and write_cursor(last.erasure_id),
    }


@blueprint.route("/erasures/<uuid:erasure_id>")
@blueprint.doc(summary="The receipt of an erasure")
@require_scope("erase")
@blueprint.response(200, Receipt)
def erasure_receipt(erasure_id: UUID) -> dict[str, Any]:
    """Give what was deleted, by kind; signed when it is finished."""
    return _signed(_find(erasure_id))


@blueprint.route("/erasures/<uuid:erasure_id>/verify/", methods=["POST"])
@blueprint.doc(summary="Prove an erasure", responses=_AWAY)
@require_scope("erase")
@blueprint.arguments(PersonRequest, example=examples.PERSON)
@blueprint.response(200, Verification)
def verify_erasure(body: dict[str, Any], erasure_id: UUID) -> dict[str, Any]:
    """Compare a person with a receipt, check its signature, and search for the person again."""
    erasure, salts, person = _find(erasure_id), installation_salts(), person_of(body)
    digests = salts.digests(person.user_id, person.anonymous_ids)
    with open_inbox() as client:
        found = count_held(current_session(), client, person, spool=state().spool)
    checks = {
        "finished": erasure.status == DONE,
        "person_matches": set(digests) <= set(erasure.digests),
        "signature_valid": is_genuine(erasure, state().settings.secret_key),
    }
    verified = all(checks.values()) and not any(found.values())
    return {"verified": verified, **checks, "found": found}


@blueprint.route("/export/", methods=["POST"])
@blueprint.doc(
    summary="Everything that is held about a person",
    responses={
        "200": {
            "description": "NDJSON, streamed: one thing a line, its `kind` says what",
            "content": {"application/x-ndjson": {}},
        },
        **_AWAY,
    },
)
@require_scope("export")
@blueprint.arguments(PersonRequest, example=examples.PERSON)
def export_person(body: dict[str, Any]) -> Response:
    """Stream events, links, dead letters, waiting events and opt-outs of a person."""
    person = person_of(body).with_linked(current_session())
    secret_key = state().settings.secret_key
    salts = installation_salts() if secret_key else None
    client = connect_inbox()
    lines = stream_held(db.engine, client, person, salts=salts, spool=state().spool)

    def closing() -> Iterator[bytes]:
        try:
            yield from lines
        finally:
            client.close()

    return Response(
        closing(),
        mimetype="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="person.ndjson"'},
    )


def _status(person: Person, changed: int) -> dict[str, Any]:
    digests = installation_salts().digests(person.user_id, person.anonymous_ids)
    reasons = set(read_reasons(current_session(), digests).values())
    reason = ERASED if ERASED in reasons else next(iter(reasons), None)
    return {"opted_out": reason is not None, "reason": reason, "ids_changed": changed}


def _signed(erasure: Erasure) -> dict[str, Any]:
    return {**receipt_of(erasure), "signature": erasure.signature, "notes": NOTES}


def _find(erasure_id: UUID) -> Erasure:
    erasure = current_session().get(Erasure, erasure_id)
    if erasure is None:
        raise Problem(404, "unknown_erasure", f"there is no erasure {erasure_id}")
    return erasure
