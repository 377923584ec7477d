"""Requests and answers about people: opt-outs, erasures, exports, links."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from app.schemas.lists import PageQuery
from intake.actors import is_placeholder
from intake.contract import Identifier


class ActorId(Identifier):
    """A user or anonymous id; it may not be empty."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text:
            raise ValidationError("Must not be empty.")
        return text


class RealId(ActorId):
    """An id that names somebody."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if is_placeholder(text):
            raise ValidationError(f"Must name somebody, got the placeholder {text!r}.")
        return text


class PersonRequest(Schema):
    """Who is meant: a user, an anonymous id, or a user and one more anonymous id."""

    user_id = ActorId(load_default=None)
    anonymous_id = ActorId(load_default=None)

    @validates_schema
    def _names_somebody(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data.get("user_id") is None and data.get("anonymous_id") is None:
            raise ValidationError("Name a user_id or an anonymous_id.", "user_id")


class OptOutAnswer(Schema):
    """Whether a person's events are refused, and for how many ids that was changed."""

    opted_out = fields.Boolean()
    reason = fields.String(
        allow_none=True,
        metadata={"description": "opt_out, which can be taken back, or erased, which cannot"},
    )
    ids_changed = fields.Integer()


class ErasureAccepted(Schema):
    """An erasure that was begun."""

    erasure_id = fields.UUID()
    status = fields.String(metadata={"description": "queued, running or done"})
    url = fields.String(metadata={"description": "where its receipt is"})


class Counts(Schema):
    """Things held about a person, by kind."""

    events = fields.Integer()
    identities = fields.Integer()
    dead_letters = fields.Integer()
    inbox = fields.Integer()


class Receipt(Schema):
    """What was deleted and when. It names nobody: ids stand in it as salted hashes."""

    erasure_id = fields.String()
    status = fields.String(metadata={"description": "queued, running or done"})
    requested_at = fields.String()
    finished_at = fields.String(allow_none=True)
    digests = fields.List(fields.String())
    counts = fields.Nested(Counts)
    signature = fields.String(
        allow_none=True,
        metadata={
            "description": "HMAC-SHA256 with SECRET_KEY over the JSON of the fields above, names "
            "sorted, no spaces"
        },
    )
    notes = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={"description": "what holds for every erasure; not signed"},
    )


class ErasureList(Schema):
    """Erasures, newest first."""

    erasures = fields.List(fields.Nested(Receipt))
    next_cursor = fields.String(allow_none=True)


class Verification(Schema):
    """Whether an erasure is what its receipt says, and whether it still holds."""

    verified = fields.Boolean(metadata={"description": "all of the following hold"})
    finished = fields.Boolean()
    person_matches = fields.Boolean(metadata={"description": "the receipt is of this person"})
    signature_valid = fields.Boolean()
    found = fields.Nested(Counts, metadata={"description": "a fresh search: what is held now"})


class LinkRequest(Schema):
    """Which anonymous id is which user."""

    anonymous_id = RealId(required=True)
    user_id = RealId(required=True)


class LinkAnswer(Schema):
    """One link."""

    anonymous_id = fields.String()
    user_id = fields.String()
    linked_at = fields.DateTime()


class LinkQuery(PageQuery):
    """Whose links."""

    user_id = ActorId(load_default=None)
    anonymous_id = ActorId(load_default=None)


class LinkList(Schema):
    """Links in the order of their anonymous ids."""

    identities = fields.List(fields.Nested(LinkAnswer))
    next_cursor = fields.String(allow_none=True)
