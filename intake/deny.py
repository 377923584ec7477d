"""The deny list: names of fields that are taken out of events before anything is kept."""

from __future__ import annotations

import re
from typing import Any

import orjson
from msgspec import Raw

#: The fields of an item that the contract names; a deny list does not reach them.
_ITEM_FIELDS = frozenset({"product_id", "quantity", "value", "position"})


class DenyList:
    """Take named fields out of free JSON, at any depth, whatever case their letters have."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = frozenset(name.casefold() for name in names)
        plain = "|".join(re.escape(name) for name in sorted(self._names) if name.isascii())
        # A name may also be written with escapes, or with letters of other alphabets that are
        # the same in small: such JSON is read to be sure.
        self._trace = re.compile(rf'"(?:{plain})"|[\\\x80-\xff]'.encode("latin-1"), re.IGNORECASE)

    @classmethod
    def parse(cls, text: str) -> DenyList | None:
        """Read comma-separated names; None when there are none."""
        names = frozenset(name.strip() for name in text.split(",")) - {""}
        return cls(names) if names else None

    def clean(self, payload: Any) -> Any:
        """Give a payload, decoded or raw, without the denied fields."""
        if isinstance(payload, Raw):
            if self._trace.search(memoryview(payload)) is None:
                return payload
            payload = orjson.loads(memoryview(payload))
        return self._without(payload)

    def clean_items(self, items: Any) -> Any:
        """Give an event's items without the denied fields among those of the client's own."""
        if not isinstance(items, list):
            return items
        return [self._clean_item(item) if isinstance(item, dict) else item for item in items]

    def _clean_item(self, item: dict[str, Any]) -> dict[str, Any]:
        free = {name: value for name, value in item.items() if name not in _ITEM_FIELDS}
        named = {name: value for name, value in item.items() if name in _ITEM_FIELDS}
        return {**named, **self._without(free)}

    def _without(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: self._without(item)
                for name, item in value.items()
                if name.casefold() not in self._names
            }
        if isinstance(value, list):
            return [self._without(item) for item in value]
        return value
