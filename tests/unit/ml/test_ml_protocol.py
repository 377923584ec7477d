"""Whether people of a shop come back to what they know decides how its models are judged."""

from __future__ import annotations

import pandas as pd
import pytest

from ml.dataset import DAY_S, Interactions, build_interactions
from ml.protocol import MOST_JUDGED, buys_again, choose_questions, choose_split, explain

START = pd.Timestamp("2026-01-01", tz="UTC")


def met(*triples: tuple[str, str, int]) -> Interactions:
    """Make interactions of (person, product, day)."""
    rows = [(user, product, 1.0, START + pd.Timedelta(days=day)) for user, product, day in triples]
    return build_interactions(
        pd.DataFrame(rows, columns=["user_id", "product_id", "weight", "occurred_at"])
    )


def cut_at(day: int) -> float:
    return START.timestamp() + day * DAY_S


@pytest.mark.parametrize(("again", "expected"), [(0, False), (1, True)])
def test_a_fifth_of_known_products_makes_a_shop_where_people_buy_again(
    again: int, expected: bool
) -> None:
    known = [("ann", f"p{n}", 0) for n in range(5)] + [("bob", f"q{n}", 0) for n in range(5)]
    later = [("ann", f"q{n}", 5) for n in range(5 - again)] + [("ann", "p0", 5)] * again

    interactions = met(*known, *later)

    assert buys_again(interactions, cut=cut_at(7), window_s=4 * DAY_S) is expected


def test_what_happens_from_the_cut_on_is_not_looked_at() -> None:
    interactions = met(("ann", "p", 0), ("bob", "q", 0), ("ann", "q", 5), ("ann", "p", 8))

    assert buys_again(interactions, cut=cut_at(7), window_s=4 * DAY_S) is False


def test_a_shop_without_returning_people_does_not_buy_again() -> None:
    interactions = met(("ann", "p", 0), ("bob", "p", 5))

    assert buys_again(interactions, cut=cut_at(7), window_s=4 * DAY_S) is False


def test_the_reason_says_that_known_products_count() -> None:
    people = [f"u{n}" for n in range(40)]
    interactions = met(*((user, "p", 0) for user in people), *((user, "p", 8) for user in people))

    split = choose_split(interactions, cut_at(7), exclude_seen=False)

    assert len(split.people) == 40
    assert explain(split).endswith("known ones among them")


def test_no_more_questions_are_asked_than_needed() -> None:
    window = [(f"u{n}", product, 8) for n in range(MOST_JUDGED + 10) for product in "ab"]
    interactions = met(("ann", "a", 0), ("ann", "b", 0), *window)

    one, other = (choose_questions(interactions, cut_at(7), seed=1) for _ in range(2))

    assert len(one.people) == MOST_JUDGED
    assert one.people.tolist() == other.people.tolist()
