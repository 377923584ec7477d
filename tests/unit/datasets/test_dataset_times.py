"""Times are read as they are written, and made up where there are none."""

from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets import DatasetError
from datasets.times import ranks_and_sizes


@pytest.mark.parametrize(
    ("time", "text", "clock"),
    [
        ('kind = "iso"\ncolumn = "at"', "2020-01-05 08:26", "08:26:00Z"),
        ('kind = "iso"\ncolumn = "at"', "2020-01-05T10:00:00+02:00", "08:00:00Z"),
        ('kind = "iso"\ncolumn = "at"', "2020-01-05T10:00:00.25Z", "10:00:00.250Z"),
        ('kind = "iso"\ncolumn = "at"\nformat = "%d.%m.%y %H.%M"', "05.01.20 08.26", "08:26:00Z"),
        ('kind = "unix"\ncolumn = "at"', "1578212760", "08:26:00Z"),
        ('kind = "unix"\ncolumn = "at"\nunit = "ms"', "1578212760500", "08:26:00.500Z"),
    ],
)
def test_a_time_keeps_its_clock(tiny, time, text, clock):
    tiny.map(time=time)
    tiny.write("sales.csv", f"who,what,at\na,p,{text}\n")

    assert tiny.column("occurred_at") == [f"2026-03-31T{clock}"]


def test_days_get_a_clock_in_the_order_of_the_session(tiny):
    tiny.map(
        columns='anonymous_id = "visit"\nsession_id = "visit"\nproduct_id = "what"',
        time='kind = "date"\ncolumn = "day"\norder = "n"\nstep_s = 60',
    )
    tiny.write(
        "sales.csv",
        "visit,what,day,n\n1,b,2020-01-05,10\n1,a,2020-01-05,9\n1,c,2020-01-05,11\n",
    )

    dataset = tiny.read()
    events = list(dataset.events())
    times = [datetime.fromisoformat(event["occurred_at"]) for event in events]

    assert [event["product_id"] for event in events] == ["a", "b", "c"]
    assert [(b - a).total_seconds() for a, b in pairwise(times)] == [60, 60]
    assert {event["occurred_at"][:10] for event in events} == {"2026-03-31"}
    assert "The data gives days only; the times within a day are made up." in dataset.notes


def test_a_day_with_very_many_rows_stays_within_its_day(tiny):
    tiny.map(time='kind = "date"\ncolumn = "at"')
    tiny.write("sales.csv", "who,what,at\n" + "a,p,2020-01-05\n" * 5000)

    times = tiny.column("occurred_at")

    assert {time[:10] for time in times} == {"2026-03-31"}
    assert tiny.column("message_id")[-1].endswith("-5000")


def test_sessions_without_a_time_follow_each_other(tiny):
    tiny.map(
        '[events.sequence]\ncolumn = "items"',
        columns='anonymous_id = "visit"\nsession_id = "visit"',
        time='kind = "order"\ndays = 10',
    )
    tiny.write("sales.csv", "visit,items\n7,a b\n3,c\n9,d e f\n")

    dataset = tiny.read()

    assert [event["product_id"] for event in dataset.events()] == list("abcdef")
    assert (dataset.last_day - dataset.first_day).days in (6, 7)
    assert dataset.notes == ["The data gives only an order; all times are made up, over 10 days."]


def test_what_each_person_did_is_spread_over_the_days(tiny):
    tiny.map(time='kind = "order"\norder = "n"\nspread = "people"\ndays = 100')
    tiny.write("sales.csv", "who,what,n\na,p2,2\na,p1,1\nb,p3,0\na,p4,3\na,p5,4\n")

    dataset = tiny.read()
    events = list(dataset.events())

    assert [e["product_id"] for e in events if e["user_id"] == "a"] == ["p1", "p2", "p4", "p5"]
    assert (dataset.last_day - dataset.first_day).days >= 74


@pytest.mark.parametrize("text", ["1e30", "inf", "-1e30", "soon"])
def test_seconds_beyond_all_calendars_are_left_out(tiny, text):
    tiny.map(time='kind = "unix"\ncolumn = "at"')
    tiny.write("sales.csv", f"who,what,at\na,p,{text}\nb,p,1578212760\n")

    dataset = tiny.read()

    assert dataset.event_count == 1
    assert f"Left out: 1 rows whose at is not a time, such as {text!r}." in dataset.notes


def test_a_wrong_format_leaves_nothing_and_shows_an_example(tiny):
    tiny.map(time='kind = "iso"\ncolumn = "at"\nformat = "%Y"')
    tiny.write("sales.csv", "who,what,at\na,p,2020-01-05\n")

    with pytest.raises(DatasetError, match="not a time, such as '2020-01-05'"):
        tiny.read()


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50)), min_size=1, max_size=60))
def test_ranks_are_a_numbering_of_each_group(rows):
    _, groups = np.unique([group for group, _ in rows], return_inverse=True)
    order = np.array([float(place) for _, place in rows])

    ranks, sizes = ranks_and_sizes(groups, order)

    for group in set(groups):
        inside = groups == group
        assert sorted(ranks[inside]) == list(range(inside.sum()))
        assert (sizes[inside] == inside.sum()).all()
        assert (np.diff(order[inside][np.argsort(ranks[inside])]) >= 0).all()
