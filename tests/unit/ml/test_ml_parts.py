from __future__ import annotations

import pytest

from ml.parts import promoted_parts


@pytest.mark.parametrize(
    ("lists", "similar", "served"),
    [
        ("promoted", "promoted", {"lists", "similar"}),
        ("promoted", "rejected", {"lists"}),
        ("skipped", "promoted", {"similar"}),
        ("rejected", "skipped", set()),
    ],
)
def test_what_was_promoted_is_served(lists, similar, served):
    assert promoted_parts({"lists": {"status": lists}, "similar": {"status": similar}}) == served


def test_a_manifest_from_before_parts_counts_as_promoted_whole():
    assert promoted_parts(None) == {"lists", "similar"}


def test_a_part_that_is_not_named_is_not_served():
    assert promoted_parts({"lists": {"status": "promoted"}}) == {"lists"}
