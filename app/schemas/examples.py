"""Examples of request bodies, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

_VIEW = {"event_type": "product_view", "product_id": "lamp", "user_id": "ann"}
_PURCHASE = {
    "event_type": "purchase",
    "message_id": "order-1001",
    "user_id": "ann",
    "items": [{"product_id": "lamp", "quantity": 2, "value": 39.90}],
    "occurred_at": "2026-01-31T12:00:00Z",
}
_OPENED = {
    "event_type": "project_opened",
    "user_id": "ben",
    "entity_type": "project",
    "entity_id": "apollo",
    "duration_ms": 1200,
}
_LAMP = {"product_id": "lamp", "name": "Desk lamp", "category": "lighting", "price": "19.95"}

EVENTS = {"one": {"value": _VIEW}, "several": {"value": {"events": [_VIEW, _PURCHASE]}}}
ACTIVITY = {"one": {"value": _OPENED}}
ACTIVITIES = {"several": {"value": {"events": [_OPENED]}}}
PRODUCTS = {"several": {"value": {"products": [{**_LAMP, "attributes": {"watts": 7}}]}}}
# Told in words: tools that send the examples of a document know no NDJSON.
PRODUCTS_NDJSON = 'a product a line, such as {"product_id": "lamp", "price": "19.95"}'
PRODUCTS_CSV = {
    "two": {"value": "product_id,name,price,shade\nlamp,Desk lamp,19.95,\nsofa,Sofa,649,ash\n"}
}
PRODUCT = {"name": "Desk lamp", "category": "lighting", "price": "19.95", "stock": 12}
LINK = {"anonymous_id": "a-77", "user_id": "ann"}
PERSON = {"user_id": "ann"}
LETTERS = {"reason": "refused"}
LETTER_PATCH = {"event": {"quantity": 1}}
KEYS: dict[str, Any] = {
    "write key": {
        "value": {
            "kind": "write",
            "name": "shop",
            "source": "web",
            "allowed_origins": ["https://shop.example"],
        }
    },
    "admin token": {"value": {"kind": "admin", "name": "dashboard", "scopes": ["read"]}},
}
WISHES = {"requests": [{"user_id": "ann", "n": 5}, {"product_id": "lamp"}, {"n": 3}]}
