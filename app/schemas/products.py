"""Requests and answers of the catalogue."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.schemas.figures import Money
from app.schemas.lists import PageQuery
from intake.contract import MAX_ID
from intake.products import ProductSchema
from models.product_list import SORTS

MAX_PRODUCTS = 5000
#: The highest price a product may have, and the finest.
MAX_PRICE = 10**12


class ProductsRequest(Schema):
    """Products to insert or replace. The list may also be sent by itself."""

    products = fields.List(
        fields.Nested(ProductSchema), required=True, validate=validate.Length(1, MAX_PRODUCTS)
    )


class RejectedProduct(Schema):
    """Why one product was not taken."""

    index = fields.Integer(metadata={"description": "its place among the products, from 0"})
    line = fields.Integer(metadata={"description": "its line, of CSV and NDJSON, from 1"})
    reason = fields.String()
    errors = fields.Dict()


class ProductsAnswer(Schema):
    """How many products were created and updated, and which were rejected."""

    created = fields.Integer()
    updated = fields.Integer()
    rejected = fields.List(fields.Nested(RejectedProduct))


class ProductAnswer(Schema):
    """One product of the catalogue."""

    product_id = fields.String()
    name = fields.String(allow_none=True)
    category = fields.String(allow_none=True)
    price = Money(allow_none=True)
    gender = fields.String(allow_none=True)
    color = fields.String(allow_none=True)
    material = fields.String(allow_none=True)
    size = fields.String(allow_none=True)
    attributes = fields.Dict()
    active = fields.Boolean()
    stock = fields.Integer(allow_none=True)
    created_at = fields.DateTime()
    updated_at = fields.DateTime()


class ProductList(Schema):
    """A page of the catalogue."""

    products = fields.List(fields.Nested(ProductAnswer))
    next_cursor = fields.String(allow_none=True)


def _price() -> fields.Decimal:
    return fields.Decimal(
        places=6, load_default=None, allow_nan=False, validate=validate.Range(0, MAX_PRICE)
    )


class ProductListQuery(PageQuery):
    """Which products to list, and in which order."""

    product_id = fields.String(
        load_default=None,
        validate=validate.Length(1, MAX_ID),
        metadata={"description": "exactly this product: for ids that a path cannot hold"},
    )
    q = fields.String(
        load_default=None,
        validate=validate.Length(max=200),
        metadata={"description": "a part of the name or the id, in any case"},
    )
    category = fields.String(load_default=None, validate=validate.Length(max=200))
    active = fields.Boolean(load_default=None)
    in_stock = fields.Boolean(
        load_default=None, metadata={"description": "stock that is not known counts as enough"}
    )
    min_price = _price()
    max_price = _price()
    sort = fields.String(load_default="product_id", validate=validate.OneOf(list(SORTS)))
    order = fields.String(load_default="asc", validate=validate.OneOf(["asc", "desc"]))
