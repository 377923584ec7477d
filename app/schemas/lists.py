"""What the lists have in common: how much of one is asked for, and from where on."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.paging import MAX_CURSOR

DEFAULT_PAGE, MAX_PAGE = 50, 1000


class PageQuery(Schema):
    """How much of a list, and from where on."""

    limit = fields.Integer(
        load_default=DEFAULT_PAGE,
        validate=validate.Range(1, MAX_PAGE),
        metadata={"description": "at most so many"},
    )
    cursor = fields.String(
        load_default=None,
        validate=validate.Length(1, MAX_CURSOR),
        metadata={"description": "next_cursor of the page before; without it, the first page"},
    )
