"""Requests and answers of the recommendation endpoints."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.recommend.wish import AUTO, BEHAVIOUR, CONTENT, POPULAR
from app.schemas.figures import Money, Rate
from app.schemas.privacy import ActorId

MAX_WISHES = 100
_MAX_NAMES = 500
_MAX_PRICE = Decimal(10**15)
_METHODS = [AUTO, BEHAVIOUR, CONTENT, POPULAR]


class Names(fields.List[str | None]):
    """Some texts: in a query the parameter several times, or once with commas."""

    def __init__(self, *, split: bool = True, **kwargs: Any) -> None:
        most = validate.Length(max=_MAX_NAMES)
        super().__init__(ActorId(), load_default=list, validate=most, **kwargs)
        self._split = split

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[str | None]:
        if self._split:
            value = [part for text in value for part in text.split(",") if part]
        return super()._deserialize(value, *args, **kwargs)


class Price(fields.Decimal):
    """A bound of prices, as large and as fine as prices are."""

    def __init__(self, **kwargs: Any) -> None:
        bounds = validate.Range(Decimal(0), _MAX_PRICE)
        super().__init__(places=6, load_default=None, validate=bounds, **kwargs)

    def _validated(self, value: Any) -> Decimal:
        try:
            return super()._validated(value)
        except ArithmeticError:
            # An amount of millions of digits cannot be rounded to a few.
            raise ValidationError("Not a price.") from None


class ListQuery(Schema):
    """What every list may be asked for with."""

    n = fields.Integer(
        load_default=10,
        validate=validate.Range(1, 100),
        metadata={"description": "how many products; fewer only when there are no more"},
    )
    method = fields.String(
        load_default=AUTO,
        validate=validate.OneOf([AUTO, POPULAR]),
        metadata={"description": "auto: all that is known; popular: what everybody likes"},
    )
    category = Names(metadata={"description": "only of these categories"})
    min_price = Price()
    max_price = Price()
    diversity = fields.Float(
        load_default=0.0,
        validate=validate.Range(0, 1),
        metadata={"description": "how unlike each other the products shall be; 0: as they rank"},
    )
    left_out = Names(data_key="exclude", metadata={"description": "products to leave out"})

    @validates_schema
    def _has_room(self, data: dict[str, Any], **kwargs: Any) -> None:
        lowest, highest = data.get("min_price"), data.get("max_price")
        if lowest is not None and highest is not None and lowest > highest:
            raise ValidationError(f"Must be at most max_price, {highest:f}.", "min_price")


class ProductQuery(ListQuery):
    """How similar products are found."""

    method = fields.String(
        load_default=AUTO,
        validate=validate.OneOf(_METHODS),
        metadata={
            "description": "auto; behaviour: met by the same people; content: alike in what they "
            "are; popular. Whatever is missing of a full list comes from the shelves"
        },
    )


class PersonQuery(ListQuery):
    """What a person's list leaves out."""

    exclude_seen = fields.Boolean(
        load_default=None,
        metadata={
            "description": "true: only products that are new to the person; false: those they met "
            "may come again; without it, they may where the model learned that people come back "
            "to the same products. Where it learned no such list, its part of a list is of new "
            "products even with false"
        },
    )


class SessionQuery(PersonQuery):
    """Which visitor a list is for."""

    anonymous_id = ActorId(required=True)


class WishItem(PersonQuery):
    """One list of a batch: for a user, for a visitor, like a product, or what is popular."""

    user_id = ActorId(load_default=None)
    anonymous_id = ActorId(load_default=None)
    product_id = ActorId(load_default=None)
    method = fields.String(load_default=AUTO, validate=validate.OneOf(_METHODS))
    category = Names(split=False, metadata={"description": "only of these categories"})
    left_out = Names(
        split=False, data_key="exclude", metadata={"description": "products to leave out"}
    )

    @validates_schema
    def _is_one(self, data: dict[str, Any], **kwargs: Any) -> None:
        given = [
            name for name in ("user_id", "anonymous_id", "product_id") if data.get(name) is not None
        ]
        if len(given) > 1:
            raise ValidationError("Name one of user_id, anonymous_id and product_id.", given[1])
        if "product_id" not in given and data.get("method") in (BEHAVIOUR, CONTENT):
            raise ValidationError("This method needs a product_id.", "method")


class Wishes(Schema):
    """Many lists in one request."""

    requests = fields.List(
        fields.Raw(allow_none=True),
        required=True,
        validate=validate.Length(1, MAX_WISHES),
        metadata={
            "description": f"up to {MAX_WISHES} lists, each with user_id, anonymous_id or "
            "product_id (none: what is popular), and what a single list is asked for with"
        },
    )


class Recommended(Schema):
    """One product of a list, with the reason and the rung it stands on."""

    product_id = fields.String()
    name = fields.String(allow_none=True)
    category = fields.String(allow_none=True)
    price = Money(allow_none=True)
    score = Rate(metadata={"description": "comparable within a rung only"})
    reason = fields.String(metadata={"description": "why, for people to read"})
    rung = fields.String()


class RecommendationList(Schema):
    """A list, and the version of the model that made it (null: no model yet)."""

    model_version = fields.Integer(allow_none=True)
    recommendation_id = fields.String(
        allow_none=True,
        metadata={
            "description": "send it with rec_shown, rec_clicked and rec_purchased events, as "
            "`properties.recommendation_id`; null when nothing is shown"
        },
    )
    recommendations = fields.List(fields.Nested(Recommended))


class WishResult(RecommendationList):
    """The list of one request of a batch, or why there is none."""

    index = fields.Integer()
    status = fields.String(validate=validate.OneOf(["ok", "rejected"]))
    code = fields.String(metadata={"description": "what is wrong, for a program"})
    detail = fields.String(metadata={"description": "what is wrong, for people"})
    errors = fields.Dict()


class WishResults(Schema):
    """The result of each request of a batch, in their order."""

    results = fields.List(fields.Nested(WishResult))
