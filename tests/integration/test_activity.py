"""What people did: analytics, sessions, and a person's summary."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from models.activity import read_activity
from models.database import transaction
from models.event_list import EventFilter
from tests.builders import NOW, NOW_MS, TODAY, body, store_events, uuid7_at
from tests.integration.test_door import check_problem

Headers = dict[str, str]
ANALYTICS, SESSION = "/api/events/analytics", "/api/events/session"
MINUTE_MS = 60_000


def event(minutes_ago: float, kind: str = "page_view", **fields: Any) -> dict[str, Any]:
    return {
        "event_type": kind,
        "occurred_at": NOW_MS - int(minutes_ago * MINUTE_MS),
        "user_id": "u1",
        **fields,
    }


def ask(client: FlaskClient, admin: Headers, path: str) -> Any:
    answer = client.get(path, headers=admin)
    assert answer.status_code == 200, answer.text
    return body(answer)


def test_analytics_count_by_category_type_day_and_hour(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(
        engine,
        event(10),
        event(5, "product_view"),
        event(2 * 1440, "email_opened", user_id="u2"),
        event(2 * 1440 + 1, "email_opened"),
        event(2 * 1440 + 2, "email_opened", user_id=None, message_id="no time", occurred_at=None),
        event(31 * 1440, "login"),
    )

    answer = ask(client, admin, ANALYTICS)

    assert answer["from"] == "events"
    assert answer["total_events"] == 5
    assert answer["events_by_category"] == {"email": 3, "navigation": 1, "product": 1}
    assert answer["events_by_type"] == {"email_opened": 3, "page_view": 1, "product_view": 1}
    assert answer["events_by_day"] == {"2026-03-13": 2, "2026-03-15": 3}
    assert answer["most_active_day"] == {"date": "2026-03-15", "weekday": "Sunday", "events": 3}
    assert answer["most_common_action"] == {"action": "open", "events": 3}
    assert answer["peak_hours"] == [{"hour": 11, "events": 3}, {"hour": 12, "events": 2}]


def test_analytics_of_one_person_and_of_any_span(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(
        engine, event(10), event(5, user_id="u2"), event(3 * 1440), event(40 * 1440, "login")
    )

    assert ask(client, admin, f"{ANALYTICS}?user_id=u1")["total_events"] == 2
    assert ask(client, admin, f"{ANALYTICS}?user_id=u1&days=1")["total_events"] == 1
    assert ask(client, admin, f"{ANALYTICS}/?days=60")["total_events"] == 4
    span = ask(client, admin, f"{ANALYTICS}?since=2026-02-01&until=2026-03-15T11:55:00Z")
    assert span["total_events"] == 3
    empty = ask(client, admin, f"{ANALYTICS}?user_id=nobody")
    assert (empty["total_events"], empty["events_by_day"], empty["peak_hours"]) == (0, {}, [])
    assert (empty["most_active_day"], empty["most_common_action"]) == (None, None)
    gaps = empty["time_between_actions"]
    assert gaps == {"gaps": 0, "median_s": None, "p90_s": None, "people_share": 1.0}


def test_days_and_hours_are_those_of_the_reporting_zone(
    app_with: Any, engine: Engine, admin: Headers
) -> None:
    store_events(engine, event(0))

    answer = ask(app_with(report_timezone="Pacific/Chatham"), admin, ANALYTICS)

    # Noon in UTC is a quarter to two at night on the next day, at +13:45.
    assert answer["events_by_day"] == {"2026-03-16": 1}
    assert answer["peak_hours"] == [{"hour": 1, "events": 1}]


def test_durations_are_given_by_action_in_quantiles(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    times = [100, 200, 300, 400, 1000]
    store_events(
        engine,
        *(event(n, "email_opened", duration_ms=ms) for n, ms in enumerate(times)),
        event(20, "login", duration_ms=7),
        event(21, "login"),
    )

    answer = ask(client, admin, ANALYTICS)

    assert answer["durations"] == [
        {"action": "open", "events": 5, "p50_ms": 300.0, "p90_ms": 760.0, "mean_ms": 400.0},
        {"action": "login", "events": 1, "p50_ms": 7.0, "p90_ms": 7.0, "mean_ms": 7.0},
    ]


def test_gaps_are_measured_within_a_session_only(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(
        engine,
        event(60),
        event(59),
        # A pause of more than thirty minutes, another person, another session: no gaps.
        event(28),
        event(27.5, user_id="u2"),
        event(27, session_id="s1"),
        event(24, session_id="s1"),
        event(23, user_id=None, anonymous_id="u2"),
    )

    gaps = ask(client, admin, ANALYTICS)["time_between_actions"]

    assert gaps == {"gaps": 2, "median_s": 120.0, "p90_s": 168.0, "people_share": 1.0}


def test_of_a_crowd_the_gaps_of_some_people_are_measured_whole(engine: Engine) -> None:
    store_events(
        engine,
        *(
            event(minutes, user_id=f"u{n}", event_id=uuid7_at(NOW_MS, 3 * n + minutes))
            for n in range(40)
            for minutes in (2, 1, 0)
        ),
    )
    day = EventFilter(since=NOW - timedelta(days=1))

    with transaction(engine) as session:
        some = read_activity(session, day, zone="UTC", today=TODAY, gap_events=60)
        one = read_activity(
            session, replace(day, user_id="u1"), zone="UTC", today=TODAY, gap_events=1
        )

    assert (some.total, one.total) == (120, 3)
    assert some.gaps is not None
    assert one.gaps is not None
    assert (some.gaps.people_share, one.gaps.people_share) == (0.5, 1.0)
    assert 0 < some.gaps.gaps < 80
    assert some.gaps.gaps % 2 == 0
    assert (some.gaps.median_s, one.gaps.gaps) == (60.0, 2)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("days=367", 422, "invalid"),
        ("days=0", 422, "invalid"),
        ("days=1&until=2026-01-01", 422, "ambiguous_period"),
        ("since=2027-01-01", 422, "empty_period"),
        ("since=2025-01-01", 422, "period_too_long"),
        ("until=0001-01-05", 422, "empty_period"),
        ("since=0001-01-01&until=9999-12-31", 422, "period_too_long"),
    ],
)
def test_a_span_that_cannot_be_analysed_is_refused(
    client: FlaskClient, admin: Headers, query: str, status: int, code: str
) -> None:
    check_problem(client.get(f"{ANALYTICS}?{query}", headers=admin), status, code)


def test_a_session_is_told_in_order_with_its_gaps(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(
        engine,
        event(5, "project_opened", session_id="s/1"),
        event(10, "login", session_id="s/1"),
        event(4.5, session_id="s/1"),
        event(1, session_id="other"),
    )

    answer = ask(client, admin, f"{SESSION}/s/1")

    assert [item["event_type"] for item in answer["events"]] == [
        "login",
        "project_opened",
        "page_view",
    ]
    assert [item["gap_ms"] for item in answer["events"]] == [None, 300_000, 30_000]
    assert (answer["total_events"], answer["duration_ms"]) == (3, 330_000)
    assert (answer["user_ids"], answer["anonymous_ids"]) == (["u1"], [])
    assert answer["first_at"] == answer["events"][0]["occurred_at"]
    assert answer["next_cursor"] is None
    assert answer["from"] == "events"


def test_a_long_session_comes_in_pages_whose_gaps_join(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    # Half of them without a time in the id, and two at the same moment.
    minutes = [50, 40, 40, 2000, 3, 1]
    store_events(engine, *(event(n, session_id="s1") for n in minutes))
    store_events(
        engine, *({"event_type": "search", "message_id": f"m{n}", "session_id": "s1"} for n in "ab")
    )

    whole = ask(client, admin, f"{SESSION}/s1")
    parts, cursor = [], ""
    while cursor is not None:
        page = ask(client, admin, f"{SESSION}/s1?limit=3{cursor}")
        parts += page["events"]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        assert page["total_events"] == 8

    assert parts == whole["events"]
    assert sum(item["gap_ms"] or 0 for item in parts) == whole["duration_ms"] == 2000 * MINUTE_MS


def test_a_session_id_of_two_people_can_be_told_apart(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(
        engine,
        event(2, session_id="1"),
        event(1, session_id="1", user_id="u2"),
        event(3, session_id="1", user_id=None, anonymous_id="a1"),
    )

    both = ask(client, admin, f"{SESSION}/1")
    mine = ask(client, admin, f"{SESSION}/1?user_id=u2")

    assert (both["user_ids"], both["anonymous_ids"]) == (["u1", "u2"], ["a1"])
    assert (mine["user_ids"], mine["total_events"]) == (["u2"], 1)


def test_an_unknown_session_is_not_found(client: FlaskClient, admin: Headers) -> None:
    check_problem(client.get(f"{SESSION}/nothing", headers=admin), 404, "unknown_session")
    for cursor in ("x", "WzFd", "WyJ4IiwieCJd", "WyIyMDI2LTAxLTAxIiwieCJd"):
        answer = client.get(f"{SESSION}/nothing?cursor={cursor}", headers=admin)
        check_problem(answer, 400, "bad_cursor")


def test_a_persons_summary_tells_what_they_did(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    project = {"entity_type": "project", "entity_id": "Apollo"}
    store_events(
        engine,
        *(
            event(days * 1440 + n, kind, **project, properties={"secret": "never told"})
            for days in (0, 1, 3)
            for n, kind in ((9, "project_opened"), (6, "project_subtask_completed"))
        ),
        event(5, "email_opened"),
        event(4, "email_opened"),
        event(1, user_id="u2"),
        event(20 * 1440),
    )

    answer = ask(client, admin, "/api/users/u1/activity-summary")

    assert (answer["total_events"], answer["sessions"], answer["complete"]) == (8, 3, True)
    assert (answer["active_days"], answer["streak_days"]) == (3, 2)
    latest = answer["recent_actions"][0]
    assert (latest["event_type"], latest["times"], latest["ago"]) == (
        "email_opened",
        2,
        "4 minutes ago",
    )
    assert answer["most_active_hours"] == [{"hour": 11, "events": 8}]
    assert answer["common_patterns"] == [
        {"event_types": ["project_opened", "project_subtask_completed"], "times": 3}
    ]
    (apollo,) = answer["projects"]
    assert (apollo["entity_id"], apollo["events"]) == ("Apollo", 6)
    assert (answer["completed"], len(answer["completions"])) == (3, 3)
    assert answer["from"] == "events"
    assert "never told" not in str(answer)
    assert answer["text"] == (
        "In the last 14 days: 8 events in 3 sessions on 3 days, 2 days in a row up to now. "
        'Latest actions: "email_opened" 2 times (4 minutes ago), '
        '"project_subtask_completed" on "project" "Apollo" (6 minutes ago), '
        '"project_opened" on "project" "Apollo" (9 minutes ago), '
        '"project_subtask_completed" on "project" "Apollo" (1 day ago), '
        '"project_opened" on "project" "Apollo" (1 day ago). '
        'Most active hours: 11:00. Worked on: "project" "Apollo" (6 events). '
        'Completed 3 things, lately: "project_subtask_completed" on "project" "Apollo" '
        '(6 minutes ago), "project_subtask_completed" on "project" "Apollo" (1 day ago), '
        '"project_subtask_completed" on "project" "Apollo" (3 days ago). '
        'Common patterns: "project_opened" then "project_subtask_completed" (3 times).'
    )


def test_a_summary_of_nobody_is_empty(client: FlaskClient, admin: Headers) -> None:
    answer = ask(client, admin, "/api/users/nobody/activity-summary/?days=1")

    assert (answer["total_events"], answer["recent_actions"]) == (0, [])
    assert answer["text"] == "No activity in the last 1 day."
