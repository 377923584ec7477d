"""What training data is asked for, and what a JSON document of it holds."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from models.training_data import FORMATS, PARTS

_ALL = "all"


class TrainingDataQuery(Schema):
    """Which days of training data, in which form."""

    days = fields.Integer(
        load_default=90,
        validate=validate.Range(1, 3650),
        metadata={"description": "the last days up to now"},
    )
    format = fields.String(load_default="json", validate=validate.OneOf(FORMATS))
    part = fields.String(
        validate=validate.OneOf((_ALL, *PARTS)),
        metadata={
            "description": "one of the two tables, or both; interactions by default in CSV, "
            "which holds one, and all in the other formats"
        },
    )

    @post_load
    def _name_parts(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        is_csv = data["format"] == "csv"
        part = data.pop("part", "interactions" if is_csv else _ALL)
        if is_csv and part == _ALL:
            raise ValidationError("CSV holds one table: products or interactions.", "part")
        return {**data, "parts": PARTS if part == _ALL else (part,)}


class TrainingProduct(Schema):
    """A product as training reads it."""

    product_id = fields.String()
    name = fields.String(allow_none=True)
    category = fields.String(allow_none=True)
    price = fields.Float(allow_none=True, metadata={"description": "as a number"})
    gender = fields.String(allow_none=True)
    color = fields.String(allow_none=True)
    material = fields.String(allow_none=True)
    size = fields.String(allow_none=True)
    avg_rating = fields.Float(
        allow_none=True, metadata={"description": "mean of all its ratings; null without any"}
    )
    review_count = fields.Integer(metadata={"description": "how many ratings it ever had"})
    interaction_count = fields.Integer(
        metadata={"description": "how many interactions of these days are with it"}
    )


class TrainingInteraction(Schema):
    """One thing that somebody did with a product: of an event with items, a row for each."""

    user_id = fields.String(
        metadata={
            "description": "the event's user, or the one its anonymous id is linked to, or that id"
        }
    )
    product_id = fields.String()
    event_type = fields.String()
    weight = fields.Float(
        metadata={
            "description": "how much interest it shows: the weight of its type, and for a rating "
            "the share of five stars of it"
        }
    )
    value = fields.Float(allow_none=True)
    quantity = fields.Integer(allow_none=True)
    bought = fields.Boolean(metadata={"description": "it was bought"})
    session_id = fields.String(allow_none=True)
    occurred_at = fields.AwareDateTime()


class TrainingMetadata(Schema):
    """What the answer holds."""

    total_products = fields.Integer(
        allow_none=True, metadata={"description": "how many products; null if they are left out"}
    )
    total_interactions = fields.Integer(
        allow_none=True,
        metadata={"description": "how many interactions; null if they are left out"},
    )
    date_range_days = fields.Integer(metadata={"description": "how many days"})
    generated_at = fields.AwareDateTime(metadata={"description": "now: the end of the days"})


class TrainingData(Schema):
    """All that training reads."""

    products = fields.List(fields.Nested(TrainingProduct))
    interactions = fields.List(
        fields.Nested(TrainingInteraction),
        metadata={"description": "what people did with products, in the order of time"},
    )
    metadata = fields.Nested(TrainingMetadata)
