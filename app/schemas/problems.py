"""The one form of an error answer: a problem document (RFC 9457)."""

from __future__ import annotations

from marshmallow import Schema, fields


class ProblemSchema(Schema):
    """What was wrong and what to do, for a program and for a person."""

    type = fields.String(required=True, metadata={"description": "always about:blank"})
    title = fields.String(required=True, metadata={"description": "the status in words"})
    status = fields.Integer(required=True, metadata={"description": "the status of the answer"})
    code = fields.String(
        required=True,
        metadata={"description": "a constant for programs: docs/errors.md lists them"},
    )
    detail = fields.String(required=True, metadata={"description": "a text for people"})
    request_id = fields.String(metadata={"description": "the log has it too"})
    errors = fields.Dict(metadata={"description": "what is wrong with which field"})
    results = fields.List(
        fields.Dict(), metadata={"description": "ingestion: the verdict on each event"}
    )
