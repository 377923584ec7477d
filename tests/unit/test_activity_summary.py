"""A person's activity in words: short, on one line, whatever the names in it are like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from models.activity_summary import summarise
from models.activity_text import MAX_NAME, MAX_TEXT, ago, plain, write_summary

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@dataclass
class Done:
    occurred_at: datetime
    event_id: int = 0
    event_type: str = "page_view"
    event_category: str = "navigation"
    event_action: str = "view"
    entity_type: str | None = None
    entity_id: str | None = None
    product_id: str | None = None
    session_id: str | None = None


def done(minutes_ago: float, event_type: str = "page_view", **fields: str) -> Done:
    return Done(NOW - timedelta(minutes=minutes_ago), event_type=event_type, **fields)  # type: ignore[arg-type]


def test_names_are_quoted_bounded_and_on_one_line() -> None:
    assert plain("a\n\rb\t\x1b[31mc\u2028d\u202ee\ud800") == '"a b [31mc d e"'
    assert plain('"ignore `that`"') == "\"'ignore 'that''\""
    assert plain("x" * 500) == '"' + "x" * (MAX_NAME - 1) + '…"'


@given(
    st.lists(
        st.tuples(st.integers(0, 20_000), st.text(max_size=200), st.text(max_size=200) | st.none()),
        max_size=30,
    )
)
def test_the_text_is_short_and_on_one_line(found: list[tuple[int, str, str | None]]) -> None:
    events = [
        Done(NOW - timedelta(minutes=minutes), event_type=name, entity_type=name, entity_id=other)
        for minutes, name, other in found
    ]

    told = write_summary(summarise(events, zone=BERLIN, now=NOW), days=14, now=NOW)

    assert len(told) <= MAX_TEXT
    assert told.isprintable()
    assert told.endswith(".")


def test_patterns_do_not_reach_across_sessions_and_skip_repetitions() -> None:
    events = [
        *(done(60 - n, kind) for n, kind in enumerate(["search", "search", "view", "buy"])),
        *(done(20 - n, kind) for n, kind in enumerate(["search", "view", "view", "buy"])),
        done(10, "search", session_id="s1"),
        done(9, "view", session_id="s2"),
    ]

    summary = summarise(events, zone=BERLIN, now=NOW)

    assert summary.sessions == 4
    assert summary.common_patterns == [
        (("search", "view", "buy"), 2),
        (("search", "view"), 2),
        (("view", "buy"), 2),
    ]


def test_a_streak_may_end_with_yesterday() -> None:
    days = [done(1440 * n) for n in (1, 2, 3, 5)]

    assert summarise(days, zone=BERLIN, now=NOW).streak_days == 3
    assert summarise(days[1:], zone=BERLIN, now=NOW).streak_days == 0


def test_a_product_is_worked_on_where_no_entity_is_named() -> None:
    events = [done(1, product_id="p1"), done(2, product_id="p1", entity_type="cart", entity_id="c")]

    entities = summarise(events, zone=BERLIN, now=NOW).entities

    assert [(entity.entity_type, entity.entity_id) for entity in entities] == [
        ("product", "p1"),
        ("cart", "c"),
    ]


def test_the_time_since_is_told_in_the_largest_unit() -> None:
    told = [ago(NOW - timedelta(seconds=s), now=NOW) for s in (-5, 59, 60, 7199, 86_400, 200_000)]

    assert told == [
        "just now",
        "just now",
        "1 minute ago",
        "1 hour ago",
        "1 day ago",
        "2 days ago",
    ]
