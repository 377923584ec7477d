"""The answer of the first page."""

from __future__ import annotations

from marshmallow import Schema, fields


class IndexAnswer(Schema):
    """What answers here, and where to go on."""

    name = fields.String()
    version = fields.String()
    links = fields.Dict(keys=fields.String(), values=fields.String())
