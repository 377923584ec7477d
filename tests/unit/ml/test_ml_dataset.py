from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.dataset import DAY_S, DatasetError, build_interactions, decay


def frame(**columns):
    rows = len(next(iter(columns.values())))
    basis = {
        "user_id": ["u"] * rows,
        "product_id": ["p"] * rows,
        "weight": [1.0] * rows,
        "occurred_at": pd.to_datetime(["2026-03-01T12:00:00Z"] * rows),
    }
    return pd.DataFrame(basis | columns)


def test_ids_are_numbered_in_order_and_rows_are_sorted_by_time():
    times = pd.to_datetime(["2026-03-02", "2026-03-01"], utc=True)

    built = build_interactions(frame(user_id=["b", "a"], product_id=[2, 10], occurred_at=times))

    assert built.user_ids == ["a", "b"]
    assert built.product_ids == ["10", "2"]
    assert built.user.tolist() == [0, 1]
    assert built.time.tolist() == [1772323200.0, 1772409600.0]


def test_the_order_of_the_rows_does_not_matter(shop):
    rows = pd.DataFrame(
        {"user_id": list("abca"), "product_id": list("xyzx"), "weight": [1.0, 2.0, 3.0, 4.0]}
    ).assign(occurred_at=pd.Timestamp("2026-03-01", tz="UTC"))

    one, other = build_interactions(rows), build_interactions(rows[::-1])

    assert one.user.tolist() == other.user.tolist()
    assert one.weight.tolist() == other.weight.tolist()


def test_of_what_happened_at_once_the_earlier_row_is_known_as_such():
    rows = frame(user_id=["u", None, "u", "u"], product_id=["z", "y", "a", "m"])

    built = build_interactions(rows)

    in_order = np.argsort(built.row)
    assert [built.product_ids[at] for at in built.product[in_order]] == ["z", "a", "m"]
    assert built.take(in_order).row.tolist() == [0, 2, 3]


def test_rows_with_nulls_or_weights_that_are_not_finite_are_dropped():
    rows = frame(
        user_id=["a", None, "c", "d", "e", "f"],
        weight=[1.0, 1.0, np.nan, np.inf, 1e300, 2.0],
        occurred_at=pd.to_datetime(["2026-03-01T00:00:00Z"] * 5 + [None]),
    )

    built = build_interactions(rows)

    assert built.user_ids == ["a"]
    assert len(built) == 1


def test_decimals_from_a_database_are_weights():
    assert build_interactions(frame(weight=[Decimal("2.5")])).weight.tolist() == [2.5]


def test_an_empty_frame_gives_no_interactions():
    empty = pd.DataFrame(columns=["user_id", "product_id", "weight", "occurred_at"])

    built = build_interactions(empty)

    assert len(built) == 0
    assert built.shape == (0, 0)


def test_a_missing_column_is_named():
    with pytest.raises(DatasetError, match="weight"):
        build_interactions(frame(weight=[1.0]).drop(columns="weight"))


def test_times_that_are_text_are_refused():
    with pytest.raises(DatasetError, match="datetimes"):
        build_interactions(frame(occurred_at=["yesterday"]))


def test_other_products_can_be_added_but_none_removed(known_matrix):
    moved = known_matrix.with_products(["0", "a", "b", "c", "d"])

    assert [moved.product_ids[at] for at in moved.product] == [
        known_matrix.product_ids[at] for at in known_matrix.product
    ]
    with pytest.raises(DatasetError, match="'a'"):
        known_matrix.with_products(["b", "c", "d"])


def test_a_stretch_of_time_is_a_view_and_holds_its_begin_but_not_its_end(interactions_of, noon):
    data = interactions_of(*(("u", f"p{day}", day, 1.0) for day in (3, 2, 2, 1, 0)))
    day_2, day_1 = noon.timestamp() - 2 * DAY_S, noon.timestamp() - DAY_S

    within, before = data.between(day_2, day_1), data.before(day_2)

    assert within.time.tolist() == [day_2, day_2]
    assert before.time.tolist() == [day_2 - DAY_S]
    assert len(data.before(np.inf)) == 5
    assert np.shares_memory(within.product, data.product)


@given(age_days=st.floats(-10, 1e5), half_life_days=st.floats(0.01, 1e4))
def test_decay_lies_between_zero_and_one_and_halves_each_half_life(age_days, half_life_days):
    age_s = np.array([age_days, age_days + half_life_days]) * DAY_S

    value, later = decay(age_s, half_life_days)

    assert 0 <= later <= value <= 1
    if age_days >= 0:
        assert later == pytest.approx(value / 2, abs=1e-12)


def test_a_half_life_of_nothing_is_refused():
    with pytest.raises(ValueError, match="half_life_days must be > 0"):
        decay(np.zeros(1), 0)


def test_purchases_and_visits_are_kept_where_the_frame_has_them(noon):
    frame = pd.DataFrame(
        {
            "user_id": ["u1", "u1", "u2", "u2"],
            "product_id": ["a", "b", "a", "b"],
            "weight": 1.0,
            "occurred_at": pd.Timestamp(noon),
            "bought": [True, False, None, True],
            "session_id": ["s2", "s1", None, ""],
        }
    )

    full, bare = build_interactions(frame), build_interactions(frame.iloc[:, :4])

    assert full.bought.tolist() == [True, False, False, True]
    assert full.visit.tolist() == [1, 0, -1, -1]
    assert full.take(full.bought).visit.tolist() == [1, -1]
    assert not bare.bought.any()
    assert (bare.visit == -1).all()
