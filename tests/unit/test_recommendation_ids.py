"""Ids of recommendation lists: what is made can be read, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommendation_ids import (
    LETTERS,
    MAX_PLACES,
    MAX_VERSION,
    UNKNOWN,
    make_recommendation_id,
    read_recommendation_id,
)
from tests.builders import NOW

_moments = st.integers(0, 253_402_300_799_999).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)


@given(
    version=st.none() | st.integers(1, MAX_VERSION),
    rungs=st.lists(st.sampled_from(sorted(LETTERS)), max_size=MAX_PLACES),
    at=_moments,
)
def test_what_is_made_can_be_read(version: int | None, rungs: list[str], at: datetime) -> None:
    made = make_recommendation_id(version, rungs, at=at)

    found = read_recommendation_id(made)

    assert found is not None
    assert (found.version, list(found.rungs)) == (version, rungs)
    assert abs(found.made_ms - at.timestamp() * 1000) < 2
    assert [found.rung(place) for place in range(1, len(rungs) + 1)] == rungs
    assert found.rung(0) == found.rung(len(rungs) + 1) == UNKNOWN
    assert len(made) <= 150


def test_two_lists_of_one_moment_have_ids_of_their_own() -> None:
    assert len({make_recommendation_id(1, ["person"], at=NOW) for _ in range(100)}) == 100


def test_a_rung_that_nobody_knows_is_unknown() -> None:
    found = read_recommendation_id(make_recommendation_id(None, ["moon", "person"], at=NOW))

    assert found is not None
    assert (found.version, found.rungs) == (None, (UNKNOWN, "person"))


def test_every_rung_has_a_letter_of_its_own() -> None:
    assert len(set(LETTERS.values())) == len(LETTERS)
    assert set(LETTERS.values()) <= set("abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize("version", [0, -1, MAX_VERSION + 1])
def test_a_version_out_of_bounds_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="a version must be 1 to"):
        make_recommendation_id(version, [], at=NOW)


def test_a_list_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="may have 100 places, got 101"):
        make_recommendation_id(1, ["person"] * 101, at=NOW)


_GOOD = "r1.17.ppt.019cf160c5807d2a41e09b3f"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "r1",
        "r1...",
        _GOOD + "\n",
        " " + _GOOD,
        _GOOD.upper(),
        _GOOD.replace("r1", "r2"),
        _GOOD.replace("17", "017"),
        _GOOD.replace("17", "1234567890"),
        _GOOD.replace("17", "\u0661\u0667"),
        _GOOD.replace("17", "-1"),
        _GOOD.replace("ppt", "p1t"),
        _GOOD.replace("ppt", "p" * 101),
        _GOOD[:-1],
        _GOOD + "0",
        "r1.17.ppt.019cf160c580\x00d2a41e09b3f",
        "\ud800" * 24,
        "r1." * 100_000,
    ],
    ids=range(18),
)
def test_another_text_is_no_id(text: str) -> None:
    assert read_recommendation_id(_GOOD) is not None
    assert read_recommendation_id(text) is None


@given(st.text() | st.from_regex(r"r1\.\d+\.[a-z]*\.[0-9a-f]{24}\n?"))
def test_reading_never_fails(text: str) -> None:
    read_recommendation_id(text)
