"""The catalogue of event types is consistent."""

from __future__ import annotations

import re

import pytest

from event_types import CATALOGUE, SYNONYMS, canonical_name, category_and_action, types_by_counter
from intake.rows import resolve_type


def test_names_are_snake_case_and_given_once() -> None:
    names = [kind.name for kind in CATALOGUE.values()]
    synonyms = [synonym for kind in CATALOGUE.values() for synonym in kind.synonyms]

    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)
    assert len({*names, *synonyms}) == len(names) + len(synonyms)


def test_every_type_has_a_colour_of_its_own() -> None:
    colours = [kind.colour for kind in CATALOGUE.values()]

    assert len(set(colours)) == len(colours)


def test_every_synonym_leads_to_a_type() -> None:
    assert {canonical_name(synonym) for synonym in SYNONYMS} <= set(CATALOGUE)


def test_names_and_colours_can_be_written_into_sql_and_css() -> None:
    for kind in CATALOGUE.values():
        assert re.fullmatch(r"#[0-9a-f]{6}", kind.colour)
        assert kind.weight >= 0


#: What an event log, an activity log, a metrics system and a collector had before.
PROMISED = """
product_view product_click product_list_view favorite_add favorite_remove add_to_cart
remove_from_cart purchase rate review_submit rec_shown rec_clicked rec_purchased search filter_apply
sort_applied login logout register profile_setup profile_update page_view booking_created
booking_status job_apply emergency_request service_search project_created project_opened
project_subtask_completed standup_completed email_opened email_replied email_feedback_given
calendar_event_opened calendar_view_changed modal_opened ai_wizard_started ai_wizard_completed
"""


def test_every_promised_type_is_there() -> None:
    assert set(PROMISED.split()) <= set(CATALOGUE)
    assert [
        canonical_name(name) for name in ("view", "click", "favorite", "cart_add", "rating")
    ] == [
        "product_view",
        "product_click",
        "favorite_add",
        "add_to_cart",
        "rate",
    ]
    assert category_and_action(canonical_name("$identify")) == ("account", "identify")


#: The names of Segment's e-commerce spec, as its SDKs send them.
SEGMENT = {
    "Products Searched": "search",
    "Product List Viewed": "product_list_view",
    "Product List Filtered": "filter_apply",
    "Promotion Viewed": "promotion_view",
    "Promotion Clicked": "promotion_click",
    "Product Clicked": "product_click",
    "Product Viewed": "product_view",
    "Product Added": "add_to_cart",
    "Product Removed": "remove_from_cart",
    "Cart Viewed": "cart_view",
    "Checkout Started": "checkout_start",
    "Checkout Step Viewed": "checkout_step_view",
    "Checkout Step Completed": "checkout_step_complete",
    "Payment Info Entered": "payment_info_add",
    "Order Completed": "purchase",
    "Order Updated": "order_update",
    "Order Refunded": "refund",
    "Order Cancelled": "order_cancel",
    "Coupon Entered": "coupon_enter",
    "Coupon Applied": "coupon_apply",
    "Coupon Denied": "coupon_deny",
    "Coupon Removed": "coupon_remove",
    "Product Added to Wishlist": "favorite_add",
    "Product Removed from Wishlist": "favorite_remove",
    "Wishlist Product Added to Cart": "add_to_cart",
    "Product Shared": "share",
    "Cart Shared": "share",
    "Product Reviewed": "review_submit",
    # Its first edition had the words the other way round.
    "Viewed Product": "product_view",
    "Viewed Product Category": "product_list_view",
    "Added Product": "add_to_cart",
    "Completed Order": "purchase",
    # Not of that spec, but sent by most of its users.
    "Signed Up": "register",
    "Signed In": "login",
    "Signed Out": "logout",
    "Application Installed": "app_install",
    "Application Opened": "app_open",
    "Application Updated": "app_update",
    "Application Backgrounded": "app_background",
}
GOOGLE = {
    "view_item": "product_view",
    "view_item_list": "product_list_view",
    "select_item": "product_click",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "view_cart": "cart_view",
    "add_to_wishlist": "favorite_add",
    "begin_checkout": "checkout_start",
    "add_shipping_info": "shipping_info_add",
    "add_payment_info": "payment_info_add",
    "purchase": "purchase",
    "refund": "refund",
    "view_promotion": "promotion_view",
    "select_promotion": "promotion_click",
    "view_search_results": "search",
    "search": "search",
    "sign_up": "register",
    "login": "login",
    "share": "share",
    "page_view": "page_view",
    "screen_view": "page_view",
    "user_engagement": "engagement",
    "file_download": "file_download",
    "first_open": "app_install",
}
POSTHOG = {
    "$pageview": "page_view",
    "$screen": "page_view",
    "$pageleave": "page_leave",
    "$autocapture": "autocapture",
    "$rageclick": "rage_click",
    "$identify": "identify",
    "$create_alias": "alias",
    "$groupidentify": "group",
    "$set": "traits_set",
    "$exception": "exception",
    "$web_vitals": "web_vitals",
    "$feature_flag_called": "feature_flag_called",
}
PLAUSIBLE = {
    "pageview": "page_view",
    "engagement": "engagement",
    "Outbound Link: Click": "outbound_click",
    "File Download": "file_download",
}


@pytest.mark.parametrize(
    ("sent", "expected"), [*(SEGMENT | GOOGLE).items(), *(POSTHOG | PLAUSIBLE).items()]
)
def test_a_name_of_another_product_is_a_type_of_the_catalogue(sent: str, expected: str) -> None:
    assert resolve_type(sent) == (expected, *category_and_action(expected))
    assert expected in CATALOGUE


def test_an_order_that_is_cancelled_and_refunded_is_taken_off_once() -> None:
    moved = [CATALOGUE[resolve_type(name)[0]].counter for name in (
        "Order Completed", "Order Updated", "Order Cancelled", "Order Refunded",
    )]  # fmt: skip

    assert moved == ["sales", None, None, "sales"]


def test_a_refund_takes_off_what_a_purchase_adds() -> None:
    counters = types_by_counter()

    assert counters["sales", 1] == ["purchase", "purchase_lines"]
    assert counters["sales", -1] == ["refund", "refund_lines"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("purchase", ("order", "purchase")),
        ("video_play", ("video", "play")),
        ("a_b_c", ("a_b", "c")),
        ("jump", ("jump", "other")),
        ("_x", ("_x", "other")),
        ("x_", ("x", "")),
    ],
)
def test_a_type_has_a_category_and_an_action(name: str, expected: tuple[str, str]) -> None:
    assert category_and_action(name) == expected
