"""The contract of one product, in marshmallow: which fields it may have and what they may hold."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_load, validate

from intake.contract import MAX_INT, Identifier, Payload
from intake.payload import check_payload


class ProductId(Identifier):
    """An id that may not be empty."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text:
            raise ValidationError("Must not be empty.")
        return text


class ProductFields(Schema):
    """What is said of a product. A field left out gets its default: a product is replaced whole."""

    name = fields.String(allow_none=True, validate=validate.Length(max=500))
    category = fields.String(allow_none=True, validate=validate.Length(max=200))
    price = fields.Decimal(
        places=6, allow_none=True, allow_nan=False, validate=validate.Range(0, 10**12)
    )
    gender = fields.String(allow_none=True, validate=validate.Length(max=100))
    color = fields.String(allow_none=True, validate=validate.Length(max=200))
    material = fields.String(allow_none=True, validate=validate.Length(max=200))
    size = fields.String(allow_none=True, validate=validate.Length(max=200))
    attributes = Payload(metadata={"description": "whatever else the shop knows of the product"})
    active = fields.Boolean(metadata={"description": "false: it is recommended to nobody"})
    stock = fields.Integer(
        strict=True,
        allow_none=True,
        validate=validate.Range(0, MAX_INT),
        metadata={"description": "units left; null: not known, and taken as enough"},
    )

    @pre_load
    def _bound(self, data: Any, **kwargs: Any) -> Any:
        check_payload(data)
        return data


class ProductSchema(ProductFields):
    """One product of the catalogue."""

    product_id = ProductId(required=True)


PRODUCT_FIELDS = frozenset(ProductSchema().fields)
_SCHEMA = ProductSchema()
_ID = ProductId()


def load_product(value: Any) -> dict[str, Any]:
    """Check one decoded product; give its fields. Raises marshmallow's ValidationError."""
    loaded: dict[str, Any] = _SCHEMA.load(value)
    return loaded


def check_product_id(product_id: str) -> str:
    """Check an id that did not come in a product. Raises marshmallow's ValidationError."""
    return _ID._deserialize(product_id, None, None)
