"""Links between anonymous ids and users: read, made and undone by hand."""

from __future__ import annotations

from typing import Any

from app.auth import require_scope
from app.blueprint import ApiBlueprint
from app.database import current_session
from app.errors import Problem
from app.paging import cut_page, read_cursor, write_cursor
from app.people import installation_salts
from app.schemas import examples
from app.schemas.privacy import LinkAnswer, LinkList, LinkQuery, LinkRequest
from models.identities import IdentityLink, link, list_links, unlink
from models.partitions import lock_for_store
from models.suppressions import has_suppressions, read_reasons

blueprint = ApiBlueprint(
    "identities", __name__, url_prefix="/api/identities", description="Who is behind anonymous ids"
)


@blueprint.route("/")
@blueprint.doc(summary="Links, all or those of a user or an anonymous id")
@require_scope("read")
@blueprint.arguments(LinkQuery, location="query")
@blueprint.response(200, LinkList)
def identities(query: dict[str, Any]) -> dict[str, Any]:
    """List links in the order of their anonymous ids."""
    cursor, limit = query["cursor"], query["limit"]
    found = list_links(
        current_session(),
        user_id=query["user_id"],
        anonymous_id=query["anonymous_id"],
        after=read_cursor(cursor, (str,))[0] if cursor else None,
        limit=limit + 1,
    )
    page, last = cut_page(found, limit)
    return {"identities": page, "next_cursor": last and write_cursor(last.anonymous_id)}


@blueprint.route("/", methods=["POST"])
@blueprint.doc(
    summary="Link an anonymous id to a user",
    responses={
        "409": {"description": "It is linked to another user, or this person opted out"},
        "503": {"description": "SECRET_KEY is not set"},
    },
)
@require_scope("admin")
@blueprint.arguments(LinkRequest, example=examples.LINK)
@blueprint.response(200, LinkAnswer)
def create_link(body: dict[str, Any]) -> IdentityLink:
    """Link an anonymous id to a user, as an identify event would. A link is never moved."""
    session = current_session()
    # With an erasure this link either comes before it and goes with it, or is refused.
    lock_for_store(session)
    if has_suppressions(session):
        salts = installation_salts()
        if read_reasons(session, salts.digests(body["user_id"], [body["anonymous_id"]])):
            raise Problem(409, "opted_out", "this person opted out or was erased")
    made = link(session, body["anonymous_id"], body["user_id"])
    if made.user_id != body["user_id"]:
        raise Problem(
            409, "linked_already", "this anonymous id is linked to another user: undo that first"
        )
    session.commit()
    return made


@blueprint.route("/<path:anonymous_id>/", methods=["DELETE"])
@blueprint.doc(summary="Undo a link")
@require_scope("admin")
@blueprint.response(200, LinkAnswer)
def delete_link(anonymous_id: str) -> dict[str, Any]:
    """Undo a link and give what it was. A later identify event may link the id again."""
    undone = unlink(current_session(), anonymous_id)
    if undone is None:
        raise Problem(404, "unknown_link", "this anonymous id is not linked")
    answer = {
        "anonymous_id": undone.anonymous_id,
        "user_id": undone.user_id,
        "linked_at": undone.linked_at,
    }
    current_session().commit()
    return answer
