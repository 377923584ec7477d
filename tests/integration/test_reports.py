"""Reports on a day: the same figures from aggregates and from events."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from models.api_keys import ADMIN, create_key
from models.database import transaction
from models.identities import link, unlink
from tasks.aggregate import aggregate_dirty
from tasks.retention import purge
from tests.builders import DAY_MS, NOW, NOW_MS, body, store_events
from tests.integration.test_door import check_problem

SUMMARY = "/api/admin/analytics/daily-summary/"
ACTIVE = "/api/admin/analytics/active-users/"
EXPORT = "/api/admin/analytics/export/"
Headers = dict[str, str]


def sample(engine: Engine) -> None:
    """Store two days of three people."""
    store_events(
        engine,
        {"event_type": "product_view", "product_id": "p1", "user_id": "u1", "source": "web"},
        {"event_type": "product_view", "product_id": "p2", "anonymous_id": "a1", "source": "ios"},
        {
            "event_type": "purchase",
            "product_id": "p1",
            "user_id": "u1",
            "value": 9.95,
            "quantity": 2,
        },
        {"event_type": "search", "user_id": "u2", "occurred_at": NOW_MS - DAY_MS},
    )


@pytest.mark.parametrize("path", [SUMMARY, ACTIVE, EXPORT])
def test_a_report_needs_an_admin_token(client: FlaskClient, write_key: str, path: str) -> None:
    check_problem(client.get(path), 401, "token_required")
    for unknown in ("at_unknown", write_key):
        answer = client.get(path, headers={"Authorization": f"Bearer {unknown}"})
        check_problem(answer, 401, "invalid_token")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", [SUMMARY, ACTIVE, EXPORT])
def test_a_report_needs_the_scope(client: FlaskClient, engine: Engine, path: str) -> None:
    with transaction(engine) as session:
        token = create_key(session, kind=ADMIN, name="trainer", scopes=("train",))

    answer = client.get(path, headers={"Authorization": f"Bearer {token}"})

    check_problem(answer, 403, "scope_missing")


def test_the_summary_of_a_day(client: FlaskClient, engine: Engine, admin: Headers) -> None:
    sample(engine)

    answer = body(client.get(f"{SUMMARY}?date=2026-03-15", headers=admin))

    assert (answer["date"], answer["total_events"], answer["from"]) == ("2026-03-15", 3, "events")
    assert (answer["unique_users"], answer["unique_anonymous"]) == (1, 1)
    assert sorted(
        (row["event_type"], row["source"], row["events"]) for row in answer["by_type"]
    ) == [
        ("product_view", "ios", 1),
        ("product_view", "web", 1),
        ("purchase", "", 1),
    ]
    assert [
        (row["product_id"], row["sales"], row["revenue"]) for row in answer["top_products"]
    ] == [
        ("p1", 2, "9.95"),
        ("p2", 0, "0.00"),
    ]


def test_aggregates_and_events_tell_the_same(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    sample(engine)
    from_events = body(client.get(SUMMARY, headers=admin))
    aggregate_dirty(engine, zone="UTC", now=NOW)
    from_aggregates = body(client.get(SUMMARY, headers=admin))

    assert (from_events.pop("from"), from_aggregates.pop("from")) == ("events", "aggregates")
    assert from_events == from_aggregates


def test_a_day_with_a_late_event_is_read_from_the_events_again(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    sample(engine)
    aggregate_dirty(engine, zone="UTC", now=NOW)
    sample(engine)

    answer = body(client.get(SUMMARY, headers=admin))

    assert (answer["total_events"], answer["from"]) == (6, "events")


def test_a_purged_day_keeps_its_summary(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    old = {"event_type": "product_view", "product_id": "p1", "occurred_at": NOW_MS - 40 * DAY_MS}
    store_events(engine, old)
    before = body(client.get(f"{SUMMARY}?date=2026-02-03", headers=admin))

    purge(engine, days=30, zone="UTC", now=NOW)
    after = body(client.get(f"{SUMMARY}?date=2026-02-03", headers=admin))

    assert (before.pop("from"), after.pop("from")) == ("events", "aggregates")
    assert before == after


def people(answer: dict[str, Any], period: str) -> tuple[int, int, int]:
    found = answer[period]
    return found["users"], found["anonymous"], found["total"]


def test_active_users_of_day_week_and_month(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    sample(engine)

    answer = body(client.get(ACTIVE, headers=admin))

    assert people(answer, "day") == (1, 1, 2)
    assert people(answer, "week") == people(answer, "month") == (2, 1, 3)
    assert (answer["stickiness"], answer["from"]) == (0.666667, "events")
    assert not answer["month"]["estimate"]
    assert "relative_error" not in answer["month"]


def test_an_aggregated_day_needs_no_events(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    sample(engine)
    aggregate_dirty(engine, zone="UTC", now=NOW)

    answer = body(client.get(ACTIVE, headers=admin))

    assert (answer["day"]["from"], answer["month"]["from"]) == ("aggregates", "events")
    assert answer["from"] == "both"
    assert people(answer, "day") == (1, 1, 2)


@pytest.mark.parametrize("aggregated", [True, False])
def test_sketches_tell_what_the_events_do(
    client: FlaskClient, engine: Engine, admin: Headers, aggregated: bool
) -> None:
    sample(engine)
    aggregate_dirty(engine, zone="UTC", now=NOW)
    if not aggregated:
        sample(engine)

    exact = body(client.get(f"{ACTIVE}?method=exact", headers=admin))
    sketched = body(client.get(f"{ACTIVE}?method=sketch", headers=admin))

    for period in ("day", "week", "month"):
        assert people(sketched, period) == people(exact, period)
        assert sketched[period]["estimate"]
        assert sketched[period]["relative_error"]["total"] == 0
    assert sketched["from"] == ("aggregates" if aggregated else "both")


def test_a_person_counts_once_however_often_a_link_is_made_or_undone(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    event = {"event_type": "page_view"}
    store_events(engine, {**event, "user_id": "u1"}, {**event, "anonymous_id": "a1"})

    def total() -> tuple[int, int, int]:
        return people(body(client.get(ACTIVE, headers=admin)), "week")

    assert total() == (1, 1, 2)
    with transaction(engine) as session:
        link(session, "a1", "u1")
    assert total() == (1, 0, 1)
    aggregate_dirty(engine, zone="UTC", now=NOW)
    summary = body(client.get(SUMMARY, headers=admin))
    assert (summary["unique_users"], summary["unique_anonymous"]) == (1, 0)
    with transaction(engine) as session:
        unlink(session, "a1")
    assert total() == (1, 1, 2)


def test_active_users_of_a_purged_week_are_estimated(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    old = [NOW_MS - days * DAY_MS for days in (41, 40)]
    store_events(engine, *[{"event_type": "x", "user_id": "u1", "occurred_at": at} for at in old])
    purge(engine, days=30, zone="UTC", now=NOW)

    answer = body(client.get(f"{ACTIVE}?date=2026-02-03", headers=admin))
    exact = body(client.get(f"{ACTIVE}?date=2026-02-03&method=exact", headers=admin))

    assert people(answer, "day") == people(answer, "week") == people(answer, "month") == (1, 0, 1)
    assert [answer[period]["estimate"] for period in ("day", "week")] == [False, True]
    assert (answer["from"], answer["week"]["complete"]) == ("aggregates", True)
    assert people(exact, "day") == (1, 0, 1)
    assert exact["week"] is exact["month"] is exact["stickiness"] is None


def test_people_who_were_purged_before_there_were_sketches_are_missing(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    old = {"event_type": "x", "user_id": "u1", "occurred_at": NOW_MS - 40 * DAY_MS}
    store_events(engine, old)
    purge(engine, days=30, zone="UTC", now=NOW)
    with transaction(engine) as session:
        session.execute(text("UPDATE daily_totals SET users_sketch = NULL"))

    answer = body(client.get(f"{ACTIVE}?date=2026-02-05", headers=admin))

    assert (answer["week"]["complete"], answer["day"]["complete"]) == (False, True)


@pytest.mark.parametrize("path", [SUMMARY, ACTIVE, EXPORT])
@pytest.mark.parametrize("day", ["1970-01-01", "1000-01-01", "0001-01-01", "9999-12-31"])
def test_a_day_without_events_is_empty_however_far_away(
    client: FlaskClient, admin: Headers, path: str, day: str
) -> None:
    answer = client.get(f"{path}?date={day}", headers=admin, buffered=True)

    assert answer.status_code in (200, 422)
