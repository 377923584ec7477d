"""Requests and answers of the recommendation endpoints."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.schemas.figures import Money, Rate


class ListQuery(Schema):
    """How long a list of popular products shall be."""

    n = fields.Integer(load_default=10, validate=validate.Range(1, 100))


class ProductQuery(ListQuery):
    """How similar products are found."""

    method = fields.String(
        load_default="auto", validate=validate.OneOf(["auto", "behaviour", "content"])
    )


class PersonQuery(ListQuery):
    """What a person's list leaves out."""

    exclude_seen = fields.Boolean(
        load_default=None,
        metadata={
            "description": "leave out products the person met before; without it, as the model "
            "was judged: in shops where people buy again they stay in"
        },
    )


class Recommended(Schema):
    """One product of a list, with the reason and the rung it stands on."""

    product_id = fields.String()
    name = fields.String(allow_none=True)
    category = fields.String(allow_none=True)
    price = Money(allow_none=True)
    score = Rate()
    reason = fields.String()
    rung = fields.String()


class RecommendationList(Schema):
    """A list, and the version of the model that made it (null: no model yet)."""

    model_version = fields.Integer(allow_none=True)
    recommendations = fields.List(fields.Nested(Recommended))
