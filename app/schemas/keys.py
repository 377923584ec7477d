"""Requests and answers of the key endpoints."""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from intake.contract import MAX_NAME
from intake.payload import check_payload
from models.api_keys import ADMIN, ADMIN_SCOPES, WRITE
from models.key_changes import DEFAULT_GRACE

MAX_ORIGINS = 100
#: Far beyond what a key is for, and within what a date can hold.
MAX_GRACE_S = 30 * 86_400
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#@\s]{1,253}")
_WRITE_ONLY = ("source", "allowed_origins", "rate_limit", "test", "key")
#: What a header can carry, and an SDK puts into one: no spaces.
_KEY = re.compile(r"[!-~]{8,200}\Z")


def _storable(text: str) -> None:
    check_payload(text)


def check_origin(origin: str) -> None:
    """Accept what browsers send as Origin, or `*`. Raises ValidationError."""
    if not _ORIGIN.fullmatch(origin.lower()):
        raise ValidationError("Must be like https://shop.example or http://localhost:3000, or *.")


def _text(**options: Any) -> fields.String:
    return fields.String(validate=[validate.Length(1, MAX_NAME), _storable], **options)


class KeyRequest(Schema):
    """A key to make. Write keys have a source, origins and a rate; admin tokens have scopes."""

    kind = fields.String(required=True, validate=validate.OneOf([WRITE, ADMIN]))
    name = _text(required=True)
    scopes = fields.List(
        fields.String(validate=validate.OneOf(ADMIN_SCOPES)),
        load_default=list,
        validate=validate.Length(max=len(ADMIN_SCOPES)),
    )
    source = _text(
        load_default=None,
        allow_none=True,
        metadata={"description": "the source of events that name none"},
    )
    allowed_origins = fields.List(
        fields.String(validate=check_origin),
        load_default=list,
        validate=validate.Length(max=MAX_ORIGINS),
        metadata={"description": "pages that may send with the key; none: any"},
    )
    rate_limit = fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, 10_000_000),
        metadata={"description": "events a minute"},
    )
    test = fields.Boolean(
        load_default=False,
        metadata={"description": "true: reports leave its events out, excluded as `test`"},
    )
    key = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Regexp(
            _KEY, error="Must be 8 to 200 letters, digits and signs of ASCII, without spaces."
        ),
        metadata={
            "description": "a key that clients send already, to be known here too; it is as public "
            "as it was. Without it, one is drawn"
        },
    )
    expires_at = fields.AwareDateTime(
        load_default=None, allow_none=True, default_timezone=UTC, format="iso"
    )

    @validates_schema
    def _fits_its_kind(self, data: dict[str, Any], **_: Any) -> None:
        if data["kind"] == ADMIN and not data["scopes"]:
            raise ValidationError("An admin token needs at least one scope.", "scopes")
        if data["kind"] == WRITE and data["scopes"]:
            raise ValidationError("A write key has no scopes.", "scopes")
        for name in _WRITE_ONLY:
            if data["kind"] == ADMIN and data[name]:
                raise ValidationError("Is for write keys only.", name)

    @post_load
    def _tidy(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {
            **data,
            "scopes": [scope for scope in ADMIN_SCOPES if scope in data["scopes"]],
            "allowed_origins": sorted({origin.lower() for origin in data["allowed_origins"]}),
        }


class RotateQuery(Schema):
    """How long the old token stays valid."""

    grace_s = fields.Integer(
        load_default=int(DEFAULT_GRACE.total_seconds()),
        validate=validate.Range(0, MAX_GRACE_S),
        metadata={"description": "seconds the old token stays valid; a day when left out"},
    )


class KeyAnswer(Schema):
    """A key, without the key itself."""

    key_id = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    status = fields.String(required=True, metadata={"description": "valid, expired or revoked"})
    scopes = fields.List(fields.String(), required=True)
    source = fields.String(
        allow_none=True, metadata={"description": "the source of events that name none"}
    )
    allowed_origins = fields.List(fields.String(), required=True)
    rate_limit = fields.Integer(allow_none=True)
    test = fields.Boolean(
        required=True, metadata={"description": "true: reports leave its events out"}
    )
    created_at = fields.AwareDateTime(required=True)
    expires_at = fields.AwareDateTime(allow_none=True)
    last_used_at = fields.AwareDateTime(
        allow_none=True, metadata={"description": "of admin tokens, to the minute"}
    )
    revoked_at = fields.AwareDateTime(allow_none=True)


class NewKeyAnswer(KeyAnswer):
    """A key that was just made, with the key itself: it cannot be read again."""

    key = fields.String(required=True)


class KeyList(Schema):
    """A page of keys, the oldest first."""

    keys = fields.List(fields.Nested(KeyAnswer), required=True)
    next_cursor = fields.String(allow_none=True, required=True)
