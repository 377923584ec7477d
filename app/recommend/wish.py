"""A wish: one list that somebody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.shelves import ALL, Filter

#: Everything by itself, or one model only. A person's list knows the first and the last.
AUTO, BEHAVIOUR, CONTENT, POPULAR = "auto", "behaviour", "content", "popular"


@dataclass(frozen=True, slots=True)
class Wish:
    """One list: of products like a product, for a user or a visitor, or of what is popular.

    At most one of `product_id`, `user_id` and `anonymous_id` is given. `exclude_seen` None:
    what the person met may come again where the model learned that people come back to the same
    products. `named`: reasons may name products of the person. `linked`: what the
    user did whom an anonymous id is linked to counts too.
    """

    n: int
    product_id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    method: str = AUTO
    wanted: Filter = ALL
    diversity: float = 0.0
    exclude: frozenset[str] = frozenset()
    exclude_seen: bool | None = None
    named: bool = False
    linked: bool = True

    @property
    def is_personal(self) -> bool:
        """Tell whether it is a person's list."""
        return self.user_id is not None or self.anonymous_id is not None


def wish_of(query: dict[str, Any], **more: Any) -> Wish:
    """Make a wish of a checked query."""
    return Wish(
        n=query["n"],
        method=query["method"],
        wanted=Filter(frozenset(query["category"]), query["min_price"], query["max_price"]),
        diversity=query["diversity"],
        exclude=frozenset(query["left_out"]),
        exclude_seen=query.get("exclude_seen"),
        **more,
    )
