from __future__ import annotations

import pytest

from ml.parts import AGAIN, NEW, SIMILAR, promoted_lists


def test_what_was_promoted_is_served():
    judged = {
        NEW: {"status": "promoted"},
        AGAIN: {"status": "rejected"},
        "x": {"status": "promoted"},
    }

    assert promoted_lists(judged | {SIMILAR: {"status": "promoted"}}) == {NEW, SIMILAR}


@pytest.mark.parametrize("parts", [None, {}, [], "new", {NEW: None}, {NEW: "promoted"}, {NEW: {}}])
def test_what_says_nothing_of_a_list_promotes_none(parts):
    assert promoted_lists(parts) == frozenset()
