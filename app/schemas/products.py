"""Requests and answers of the catalogue."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from intake.contract import Identifier, Payload

MAX_PRODUCTS = 5000


class ProductId(Identifier):
    """An id that may not be empty."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text:
            raise ValidationError("Must not be empty.")
        return text


class ProductSchema(Schema):
    """One product. What has no field of its own goes into attributes."""

    product_id = ProductId(required=True)
    name = fields.String(allow_none=True, validate=validate.Length(max=500))
    category = fields.String(allow_none=True, validate=validate.Length(max=200))
    price = fields.Decimal(
        places=6, allow_none=True, allow_nan=False, validate=validate.Range(0, 10**12)
    )
    gender = fields.String(allow_none=True, validate=validate.Length(max=100))
    color = fields.String(allow_none=True, validate=validate.Length(max=200))
    material = fields.String(allow_none=True, validate=validate.Length(max=200))
    size = fields.String(allow_none=True, validate=validate.Length(max=200))
    attributes = Payload()
    active = fields.Boolean()
    stock = fields.Integer(strict=True, allow_none=True, validate=validate.Range(0, 2_147_483_647))


class ProductsRequest(Schema):
    """Products to insert or replace."""

    products = fields.List(
        fields.Raw(allow_none=True), required=True, validate=validate.Length(1, MAX_PRODUCTS)
    )


class ProductResult(Schema):
    """Why one product was not taken."""

    index = fields.Integer()
    reason = fields.String()
    errors = fields.Dict()


class ProductsAnswer(Schema):
    """How many products were created and updated, and which were rejected."""

    created = fields.Integer()
    updated = fields.Integer()
    rejected = fields.List(fields.Nested(ProductResult))
