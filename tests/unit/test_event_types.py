"""The catalogue of event types is consistent."""

from __future__ import annotations

import re

import pytest

from event_types import CATALOGUE, SYNONYMS, canonical_name, category_and_action, types_by_counter


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


def test_a_refund_takes_off_what_a_purchase_adds() -> None:
    counters = types_by_counter()

    assert counters["sales", 1] == ["purchase"]
    assert counters["sales", -1] == ["refund"]


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
