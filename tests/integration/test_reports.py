"""Reports: the same figures from aggregates and from events, and files for spreadsheets."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from models.api_keys import ADMIN, create_key
from models.database import transaction
from models.reports import EXPORT_COLUMNS
from tasks.aggregate import aggregate_dirty
from tasks.retention import purge
from tests.builders import DAY_MS, NOW, NOW_MS, body, crafted, store, store_events, uuid7_at
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


def rows(answer: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.text)))


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
        ("p2", 0, "0"),
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


def test_active_users_of_day_week_and_month(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    sample(engine)

    answer = body(client.get(ACTIVE, headers=admin))

    assert answer["day"] == {"users": 1, "anonymous": 1, "total": 2}
    assert answer["week"] == answer["month"] == {"users": 2, "anonymous": 1, "total": 3}


def test_active_users_of_a_purged_day_stay_and_of_its_week_nobody_can_tell(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    old = {"event_type": "x", "user_id": "u1", "occurred_at": NOW_MS - 40 * DAY_MS}
    store_events(engine, old)
    purge(engine, days=30, zone="UTC", now=NOW)

    answer = body(client.get(f"{ACTIVE}?date=2026-02-03", headers=admin))

    assert answer["day"] == {"users": 1, "anonymous": 0, "total": 1}
    assert answer["week"] is answer["month"] is None


@pytest.mark.parametrize("path", [SUMMARY, ACTIVE, EXPORT])
@pytest.mark.parametrize("day", ["1970-01-01", "1000-01-01", "0001-01-01", "9999-12-31"])
def test_a_day_without_events_is_empty_however_far_away(
    client: FlaskClient, admin: Headers, path: str, day: str
) -> None:
    answer = client.get(f"{path}?date={day}", headers=admin, buffered=True)

    assert answer.status_code in (200, 422)


@pytest.mark.parametrize(
    "query",
    ["date=yesterday", "date=", "limit=0", "limit=x", "event_type=", "limit=99999999999999999999"],
)
def test_a_query_that_cannot_be_used_is_422(
    client: FlaskClient, admin: Headers, query: str
) -> None:
    check_problem(client.get(f"{EXPORT}?{query}", headers=admin), 422, "invalid")


def test_the_export_begins_with_the_columns_of_the_contract(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    sample(engine)

    answer = client.get(EXPORT, headers=admin)

    assert answer.mimetype == "text/csv"
    assert "events-2026-03-15.csv" in answer.headers["Content-Disposition"]
    header, *lines = rows(answer)
    assert tuple(header) == EXPORT_COLUMNS
    begin = "id,created_at,event_type,user_id,anonymous_id,source,ip_address,payload,"
    assert answer.text.startswith(begin)
    assert len(lines) == 3


def test_the_export_can_be_narrowed(client: FlaskClient, engine: Engine, admin: Headers) -> None:
    sample(engine)

    of_type = rows(client.get(f"{EXPORT}?event_type=purchase", headers=admin))
    limited = rows(client.get(f"{EXPORT}?limit=2", headers=admin))

    assert [line[2] for line in of_type[1:]] == ["purchase"]
    assert len(limited) == 3


def test_a_cell_is_never_a_formula(client: FlaskClient, engine: Engine, admin: Headers) -> None:
    store_events(engine, {"event_type": "=1+1", "user_id": "@SUM(A1)", "anonymous_id": "-2"})

    line = rows(client.get(EXPORT, headers=admin))[1]

    assert line[2:5] == ["'=1+1", "'@SUM(A1)", "'-2"]


def test_any_number_can_be_exported(client: FlaskClient, engine: Engine, admin: Headers) -> None:
    store(engine, crafted({"event_id": uuid7_at(NOW_MS), "properties": {"n": "N", "x": 1e300}}))
    large = "9" * 30
    with transaction(engine) as session:
        session.execute(
            text("UPDATE events SET properties = CAST(:properties AS jsonb)"),
            {"properties": f'{{"n": {large}}}'},
        )

    answer = client.get(EXPORT, headers=admin)

    assert large in rows(answer)[1][7]
