"""The catalogue of event types: data, and three look-ups over it.

An event type says which category and action an event has, which product counter it moves, how
much interest it shows (the interaction weight, read by training) and which colour charts give it.
Names that other systems use for the same thing are synonyms, mapped at the door. A team adds its
own types in the file that EVENT_TYPES_FILE names; it is read once, here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from event_type_files import Counter, EventType, read_event_types
from settings import read_event_types_file

_SHOP: Final = (
    EventType(
        "product_view",
        "product",
        "view",
        "views",
        weight=1.0,
        colour="#4c78a8",
        synonyms=("view", "view_item", "product_viewed", "item_view"),
    ),
    EventType(
        "product_click",
        "product",
        "click",
        "clicks",
        weight=2.0,
        colour="#72b7b2",
        synonyms=("click", "select_item", "product_clicked"),
    ),
    EventType(
        "product_list_view",
        "product",
        "list_view",
        "impressions",
        colour="#9ecae9",
        synonyms=("impression", "list_view", "view_item_list", "product_list_viewed"),
    ),
    EventType(
        "favorite_add",
        "product",
        "favorite",
        "favorites",
        weight=3.0,
        colour="#e45756",
        synonyms=("favorite", "favourite", "wishlist_add", "add_to_wishlist"),
    ),
    EventType(
        "favorite_remove",
        "product",
        "unfavorite",
        colour="#ff9d98",
        synonyms=("unfavorite", "wishlist_remove", "remove_from_wishlist"),
    ),
    EventType(
        "add_to_cart",
        "cart",
        "add",
        "cart_additions",
        weight=3.0,
        colour="#f58518",
        synonyms=("cart_add", "cart_addition", "product_added"),
    ),
    EventType(
        "remove_from_cart",
        "cart",
        "remove",
        "cart_removals",
        colour="#ffbf79",
        synonyms=("cart_remove", "cart_removal", "product_removed"),
    ),
    EventType(
        "purchase",
        "order",
        "purchase",
        "sales",
        weight=5.0,
        colour="#54a24b",
        synonyms=("order_completed", "buy", "sale"),
    ),
    EventType(
        "refund",
        "order",
        "refund",
        "sales",
        sign=-1,
        colour="#88d27a",
        synonyms=("order_refunded", "order_cancelled", "return", "cancellation"),
    ),
    EventType(
        "rate",
        "review",
        "rate",
        "ratings",
        weight=2.0,
        colour="#eeca3b",
        synonyms=("rating", "product_rated"),
    ),
    EventType(
        "review_submit",
        "review",
        "submit",
        weight=1.0,
        colour="#d6a5c9",
        synonyms=("review", "product_reviewed"),
    ),
    EventType("rec_shown", "recommendation", "shown", colour="#bab0ac"),
    EventType("rec_clicked", "recommendation", "clicked", weight=1.0, colour="#b279a2"),
    EventType("rec_purchased", "recommendation", "purchased", colour="#8c6d31"),
    EventType(
        "search",
        "search",
        "search",
        colour="#439894",
        synonyms=("products_searched", "view_search_results"),
    ),
    EventType(
        "filter_apply", "search", "filter", colour="#83bcb6", synonyms=("product_list_filtered",)
    ),
    EventType("sort_applied", "search", "sort", colour="#b7dcd8"),
)

_PRODUCT_USE: Final = (
    EventType(
        "identify",
        "account",
        "identify",
        colour="#5778a4",
        synonyms=("$identify", "identified", "user_identified"),
    ),
    EventType("login", "account", "login", colour="#3b6fb6", synonyms=("signed_in", "sign_in")),
    EventType("logout", "account", "logout", colour="#93b5e1", synonyms=("signed_out", "sign_out")),
    EventType(
        "register", "account", "register", colour="#1f4e8c", synonyms=("signed_up", "sign_up")
    ),
    EventType("profile_setup", "account", "profile_setup", colour="#6b8ec2"),
    EventType("profile_update", "account", "profile_update", colour="#aec7e8"),
    EventType(
        "page_view",
        "navigation",
        "view",
        colour="#79706e",
        synonyms=("pageview", "page", "screen", "screen_view"),
    ),
    EventType("booking_created", "booking", "create", colour="#2f8f5b"),
    EventType("booking_status", "booking", "status", colour="#7cc49a"),
    EventType("job_apply", "job", "apply", colour="#b5651d"),
    EventType("emergency_request", "service", "emergency", colour="#d62728"),
    EventType("service_search", "service", "search", colour="#17869c"),
    EventType("project_created", "project", "create", colour="#6a3d9a"),
    EventType("project_opened", "project", "open", colour="#a98bce"),
    EventType("project_subtask_completed", "project", "complete", colour="#8456b8"),
    EventType("standup_completed", "project", "standup", colour="#cab2d6"),
    EventType("email_opened", "email", "open", colour="#e7969c"),
    EventType("email_replied", "email", "reply", colour="#ad494a"),
    EventType("email_feedback_given", "email", "feedback", colour="#843c39"),
    EventType("calendar_event_opened", "calendar", "open", colour="#8ca252"),
    EventType("calendar_view_changed", "calendar", "change_view", colour="#b5cf6b"),
    EventType("modal_opened", "interface", "open", colour="#9c9ede"),
    EventType("ai_wizard_started", "assistant", "start", colour="#de9ed6"),
    EventType("ai_wizard_completed", "assistant", "complete", colour="#a55194"),
)

_BUILT_IN: Final = (*_SHOP, *_PRODUCT_USE)


def _read_own() -> tuple[EventType, ...]:
    named = read_event_types_file()
    if not named:
        return ()
    # A relative path starts where the project lies, wherever a process was started.
    path = Path(__file__).parent / Path(named).expanduser()
    taken = [word for kind in _BUILT_IN for word in (kind.name, *kind.synonyms)]
    return read_event_types(path, taken=taken)


CATALOGUE: Final[dict[str, EventType]] = {kind.name: kind for kind in (*_BUILT_IN, *_read_own())}

SYNONYMS: Final[dict[str, str]] = {
    synonym: kind.name for kind in CATALOGUE.values() for synonym in kind.synonyms
}

#: Types that tell who is behind an anonymous id: an event with both ids links them.
LINKING: Final[frozenset[str]] = frozenset({"identify", "login", "register"})

#: Types whose `value` is money or stars; left out, it is looked for in the properties.
VALUED: Final[frozenset[str]] = frozenset(
    kind.name for kind in CATALOGUE.values() if kind.counter in ("sales", "ratings")
)


def canonical_name(name: str) -> str:
    """Give the catalogue's name of a type; a name it does not know is returned unchanged."""
    return SYNONYMS.get(name, name)


def category_and_action(name: str) -> tuple[str, str]:
    """Give the category and action of a type; `object_verb` names unknown to us are split."""
    kind = CATALOGUE.get(name)
    if kind is not None:
        return kind.category, kind.action
    head, _, tail = name.rpartition("_")
    return (head or name), (tail if head else "other")


def types_by_counter() -> dict[tuple[Counter, int], list[str]]:
    """List the types that move each counter up (1) or down (-1)."""
    result: dict[tuple[Counter, int], list[str]] = {}
    for kind in CATALOGUE.values():
        if kind.counter is not None:
            result.setdefault((kind.counter, kind.sign), []).append(kind.name)
    return result
