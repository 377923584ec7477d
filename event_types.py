"""The catalogue of event types: data, and three look-ups over it.

An event type says which category and action an event has, which product counter it moves, how
much interest it shows (the interaction weight, read by training) and which colour charts give it.
Names that other systems use for the same thing are synonyms, mapped at the door in small letters
with underscores, so that "Product Viewed" is found as product_viewed. A team adds its own types in
the file that EVENT_TYPES_FILE names; it is read once, here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from event_type_files import Counter, EventType, read_event_types
from settings import read_event_types_file

_SHOP: Final = (
    EventType("product_view", "product", "view", "views", weight=1.0, colour="#4c78a8", synonyms=(
        "view", "view_item", "product_viewed", "viewed_product", "item_view")),
    EventType("product_click", "product", "click", "clicks", weight=2.0, colour="#72b7b2",
        synonyms=("click", "select_item", "product_clicked", "clicked_product")),
    EventType("product_list_view", "product", "list_view", "impressions", colour="#9ecae9",
        synonyms=("impression", "list_view", "view_item_list", "product_list_viewed",
        "viewed_product_category")),
    EventType("favorite_add", "product", "favorite", "favorites", weight=3.0, colour="#e45756",
        synonyms=("favorite", "favourite", "wishlist_add", "add_to_wishlist",
        "product_added_to_wishlist")),
    EventType("favorite_remove", "product", "unfavorite", colour="#ff9d98", synonyms=(
        "unfavorite", "wishlist_remove", "remove_from_wishlist", "product_removed_from_wishlist")),
    EventType("share", "product", "share", weight=2.0, colour="#b84a62", synonyms=(
        "product_shared", "cart_shared")),
    EventType("add_to_cart", "cart", "add", "cart_additions", weight=3.0, colour="#f58518",
        synonyms=("cart_add", "cart_addition", "product_added", "added_product",
        "wishlist_product_added_to_cart")),
    EventType("remove_from_cart", "cart", "remove", "cart_removals", colour="#ffbf79", synonyms=(
        "cart_remove", "cart_removal", "product_removed", "removed_product")),
    EventType("cart_view", "cart", "view", colour="#c87a2f", synonyms=("view_cart", "cart_viewed")),
    EventType("coupon_enter", "cart", "coupon_enter", colour="#d9c27e", synonyms=(
        "coupon_entered",)),
    EventType("coupon_apply", "cart", "coupon_apply", colour="#c2a33a", synonyms=(
        "coupon_applied",)),
    EventType("coupon_deny", "cart", "coupon_deny", colour="#8f7a2c", synonyms=("coupon_denied",)),
    EventType("coupon_remove", "cart", "coupon_remove", colour="#ded3a8", synonyms=(
        "coupon_removed",)),
    EventType("checkout_start", "checkout", "start", colour="#2f8a8a", synonyms=(
        "begin_checkout", "checkout_started", "initiate_checkout")),
    EventType("checkout_step_view", "checkout", "step_view", colour="#8cc5c5", synonyms=(
        "checkout_step_viewed", "viewed_checkout_step")),
    EventType("checkout_step_complete", "checkout", "step_complete", colour="#57a5a5", synonyms=(
        "checkout_step_completed", "completed_checkout_step")),
    EventType("shipping_info_add", "checkout", "shipping_info", colour="#3f7f9e", synonyms=(
        "add_shipping_info",)),
    EventType("payment_info_add", "checkout", "payment_info", colour="#27647f", synonyms=(
        "add_payment_info", "payment_info_entered")),
    EventType("purchase", "order", "purchase", "sales", weight=5.0, colour="#54a24b", synonyms=(
        "order_completed", "completed_order", "buy", "sale")),
    # Orders with more lines than one event may hold: the further lines, which are no order again.
    EventType("purchase_lines", "order", "purchase_lines", "sales", weight=5.0, colour="#3f8a38"),
    EventType("refund", "order", "refund", "sales", sign=-1, colour="#88d27a", synonyms=(
        "order_refunded", "return", "cancellation")),
    EventType("refund_lines", "order", "refund_lines", "sales", sign=-1, colour="#b5e6ab"),
    # Of an order that is cancelled the money goes back with a refund of its own; an order that is
    # updated was counted when it was placed. Neither moves a counter, or it would move twice.
    EventType("order_cancel", "order", "cancel", colour="#9db86f", synonyms=(
        "order_cancelled", "order_canceled")),
    EventType("order_update", "order", "update", colour="#6f9e5e", synonyms=("order_updated",)),
    EventType("rate", "review", "rate", "ratings", weight=2.0, colour="#eeca3b", synonyms=(
        "rating", "product_rated")),
    EventType("review_submit", "review", "submit", weight=1.0, colour="#d6a5c9", synonyms=(
        "review", "product_reviewed")),
    EventType("rec_shown", "recommendation", "shown", colour="#bab0ac"),
    EventType("rec_clicked", "recommendation", "clicked", weight=1.0, colour="#b279a2"),
    EventType("rec_purchased", "recommendation", "purchased", colour="#8c6d31"),
    EventType("promotion_view", "promotion", "view", colour="#c9a0dc", synonyms=(
        "view_promotion", "promotion_viewed", "viewed_promotion")),
    EventType("promotion_click", "promotion", "click", colour="#9467bd", synonyms=(
        "select_promotion", "promotion_clicked", "clicked_promotion")),
    EventType("search", "search", "search", colour="#439894", synonyms=(
        "products_searched", "view_search_results")),
    EventType("filter_apply", "search", "filter", colour="#83bcb6", synonyms=(
        "product_list_filtered",)),
    EventType("sort_applied", "search", "sort", colour="#b7dcd8"),
)  # fmt: skip

_PEOPLE_AND_PAGES: Final = (
    EventType("identify", "account", "identify", colour="#5778a4", synonyms=(
        "$identify", "identified", "user_identified")),
    EventType("alias", "account", "alias", colour="#7d97bd", synonyms=(
        "$create_alias", "$merge_dangerously")),
    EventType("group", "account", "group", colour="#465f85", synonyms=("$groupidentify",)),
    EventType("traits_set", "account", "set", colour="#a3b8d4", synonyms=(
        "$set", "$set_once", "$unset")),
    EventType("login", "account", "login", colour="#3b6fb6", synonyms=("signed_in", "sign_in")),
    EventType("logout", "account", "logout", colour="#93b5e1", synonyms=(
        "signed_out", "sign_out")),
    EventType("register", "account", "register", colour="#1f4e8c", synonyms=(
        "signed_up", "sign_up")),
    EventType("profile_setup", "account", "profile_setup", colour="#6b8ec2"),
    EventType("profile_update", "account", "profile_update", colour="#aec7e8"),
    EventType("page_view", "navigation", "view", colour="#79706e", synonyms=(
        "pageview", "$pageview", "page", "screen", "$screen", "screen_view")),
    EventType("page_leave", "navigation", "leave", colour="#a39a97", synonyms=(
        "pageleave", "$pageleave")),
    EventType("engagement", "navigation", "engage", colour="#c4bcb9", synonyms=(
        "user_engagement",)),
    EventType("outbound_click", "navigation", "outbound", colour="#5e5654", synonyms=(
        "outbound_link:_click",)),
    EventType("file_download", "navigation", "download", colour="#948371"),
    EventType("app_install", "app", "install", colour="#3d7a4f", synonyms=(
        "application_installed", "first_open")),
    EventType("app_open", "app", "open", colour="#68a37a", synonyms=("application_opened",)),
    EventType("app_background", "app", "background", colour="#a9cbb4", synonyms=(
        "application_backgrounded",)),
    EventType("app_update", "app", "update", colour="#4f9170", synonyms=(
        "application_updated",)),
    EventType("autocapture", "interface", "capture", colour="#c7c7e8", synonyms=(
        "$autocapture",)),
    EventType("rage_click", "interface", "rage_click", colour="#6b6bb0", synonyms=(
        "$rageclick",)),
    EventType("exception", "technical", "exception", colour="#a83232", synonyms=("$exception",)),
    EventType("web_vitals", "technical", "web_vitals", colour="#b0a28c", synonyms=(
        "$web_vitals",)),
    EventType("tracker_dropped", "technical", "drop", colour="#d8d2c8"),
    EventType("feature_flag_called", "technical", "feature_flag", colour="#8c7f6a", synonyms=(
        "$feature_flag_called",)),
)  # fmt: skip

_PRODUCT_USE: Final = (
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

_BUILT_IN: Final = (*_SHOP, *_PEOPLE_AND_PAGES, *_PRODUCT_USE)


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
LINKING: Final[frozenset[str]] = frozenset({"identify", "alias", "login", "register"})

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
