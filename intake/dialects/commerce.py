"""Products, orders and money in the words that shops share: one rule for the SDKs of all systems.

The names are those of Segment's e-commerce specification, which others took over. What has no
field of ours stays among the properties: they are the sender's own, and nothing in them is refused
here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from event_types import CATALOGUE
from intake.contract import MAX_AMOUNT, MAX_NAME
from intake.dialects.numbers import find_id, read_number, read_whole
from intake.rows import resolve_type

_LISTS = ("products", "items")
_IDS = ("product_id", "productId", "item_id", "sku")
#: In a list of products, and in events about one, a bare id is the product's.
_IDS_OF_PRODUCTS = (*_IDS, "id")
_OF_PRODUCTS = frozenset({"product", "cart"})
#: What a shop calls the money of an order; the first says it without tax and shipping.
_MONEY = ("revenue", "value", "total", "subtotal", "amount")
#: Names of the thing an event is about, and what sort of thing that is. The first one counts.
_ENTITIES = {
    "order_id": "order",
    "checkout_id": "checkout",
    "cart_id": "cart",
    "review_id": "review",
    "promotion_id": "promotion",
    "wishlist_id": "wishlist",
    "list_id": "product_list",
}
#: Most events say nothing of all this.
_WORDS = frozenset({*_LISTS, *_IDS_OF_PRODUCTS, *_MONEY, *_ENTITIES, "price"})


def add_commerce(event: dict[str, Any], properties: dict[str, Any]) -> None:
    """Put an event's products and money into its fields, and what is left into its properties.

    A list of products becomes `items`, each with units times price for its `value`; a product
    alone becomes `product_id` and `quantity`. Numbers may be written as texts. What an order was
    in all is its `value`, and counts for no product beside its items.
    """
    event["properties"] = properties
    if _WORDS.isdisjoint(properties):
        return
    kind, category = _read_type(event["event_type"])
    counter = CATALOGUE[kind].counter if kind in CATALOGUE else None
    if not _add_items(event, properties, counts_places=counter == "impressions"):
        _add_product(event, properties, _IDS_OF_PRODUCTS if category in _OF_PRODUCTS else _IDS)
    if counter == "sales":
        _add_money(event, properties)
    name = _name_of_id(properties, _ENTITIES)
    if name is not None:
        event["entity_type"], event["entity_id"] = _ENTITIES[name], find_id(properties[name])


def _read_type(name: Any) -> tuple[str, str]:
    # Of longer names, which the contract refuses, none shall be remembered.
    if not isinstance(name, str) or len(name) > MAX_NAME:
        return "", ""
    kind, category, _ = resolve_type(name)
    return kind, category


def _add_items(event: dict[str, Any], properties: dict[str, Any], *, counts_places: bool) -> bool:
    for name in _LISTS:
        products = properties.get(name)
        if not isinstance(products, list) or not products:
            continue
        items = list(map(_read_item, products))
        known = [item for item in items if item is not None]
        if not known:
            continue
        if counts_places:
            for place, item in enumerate(known, start=1):
                item.setdefault("position", place)
        event["items"] = known
        if len(known) == len(items):
            event["properties"] = _without(properties, name)
        return True
    return False


def _read_item(product: Any) -> dict[str, Any] | None:
    """Make an item of a product in a list; None when it has no id. Its other fields are kept."""
    if not isinstance(product, dict):
        return None
    name = _name_of_id(product, _IDS_OF_PRODUCTS)
    if name is None:
        return None
    item = {**product}
    item["product_id"] = find_id(item.pop(name))
    # Under their names is what can be read, and nothing else.
    position = read_whole(item.pop("position", None))
    quantity = read_whole(item.pop("quantity", None))
    item.pop("value", None)
    value = _money_of_line(product)
    if position is None:
        position = read_whole(product.get("index"))
    for field, number in (("quantity", quantity), ("value", value), ("position", position)):
        if number is not None:
            item[field] = number
    return item


def _add_product(
    event: dict[str, Any], properties: dict[str, Any], id_names: tuple[str, ...]
) -> None:
    name = _name_of_id(properties, id_names)
    if name is None:
        return
    event["product_id"] = find_id(properties[name])
    moved = [name]
    quantity = read_whole(properties.get("quantity"))
    if quantity is not None:
        event["quantity"] = quantity
        moved.append("quantity")
    event["properties"] = _without(properties, *moved)


def _add_money(event: dict[str, Any], properties: dict[str, Any]) -> None:
    amounts = (read_number(properties.get(name)) for name in _MONEY)
    money = next((amount for amount in amounts if amount is not None), None)
    items = event.get("items")
    if items is None:
        money = _money_of_line(properties) if money is None else money
    elif len(items) == 1 and "value" not in items[0] and money is not None:
        # Only the order says how much its one line was.
        items[0]["value"] = money
    if money is not None:
        event["value"] = money


def _money_of_line(line: dict[str, Any]) -> float | None:
    price = read_number(line.get("price"))
    if price is None:
        return read_number(line.get("value"))
    units = read_number(line.get("quantity"))
    value = round(price * (1.0 if units is None else units), 4)
    return value if abs(value) <= MAX_AMOUNT else None


def _name_of_id(fields: dict[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        if name in fields and find_id(fields[name]) is not None:
            return name
    return None


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}
