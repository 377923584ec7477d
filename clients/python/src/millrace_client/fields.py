"""The fields of an event, as the server's contract names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict, Union
from uuid import UUID

Id = Union[str, int, UUID]
Money = Union[int, float, Decimal]
Moment = Union[datetime, str, float]
#: A product of a list or an order: its id, or its id with quantity, price or value, and position.
Product = Union[Id, Mapping[str, Any]]


class CommonFields(TypedDict, total=False):
    """What every event may have."""

    session_id: Id | None
    #: When it happened; now by default.
    occurred_at: Moment | None
    #: A UUID of your own in place of the one that is made.
    event_id: str | None
    #: A name of your own: the server counts an event of this name once.
    message_id: str | None
    context: Mapping[str, Any] | None
    source: str | None
    device_type: str | None
    entity_type: str | None
    entity_id: Id | None
    event_category: str | None
    event_action: str | None
    duration_ms: int | None
    #: Why reports leave the event out, such as `test` or `staff`.
    excluded: str | None


class ActorFields(CommonFields, total=False):
    """The same, and who did it."""

    user_id: Id | None
    anonymous_id: Id | None


class EventFields(ActorFields, total=False):
    """The same, and what it was done to."""

    product_id: Id | None
    items: Iterable[Mapping[str, Any]] | None
    quantity: int | None
    value: Money | None


FIELD_NAMES = frozenset(EventFields.__annotations__)


def line_of(product: Product, *, position: int | None = None) -> dict[str, Any]:
    """Write a product as a line of an event: `price` times `quantity` is its `value`."""
    line: dict[str, Any] = (
        dict(product) if isinstance(product, Mapping) else {"product_id": product}
    )
    if "product_id" not in line and "id" in line:
        line["product_id"] = line.pop("id")
    if position is not None:
        line.setdefault("position", position)
    if line.get("value") is None and line.get("price") is not None:
        line["value"] = line_value(line["price"], line.get("quantity"))
    return line


def line_value(price: Money, quantity: int | None) -> Money:
    """Give the money of a line, without the crumbs that binary fractions leave.

    What is no number is left as it is: the server says what is wrong with it.
    """
    if quantity is None:
        return price
    try:
        return round(Decimal(str(price)) * quantity, 4)
    except (ArithmeticError, TypeError, ValueError):
        return price


def lines_of(
    products: Iterable[Product], *, first_position: int | None = None
) -> Iterator[dict[str, Any]]:
    """Write products as lines, one by one as they are asked for."""
    for index, product in enumerate(products):
        place = None if first_position is None else first_position + index
        yield line_of(product, position=place)
