"""Reports over days: the same from aggregates, from events and after a purge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from models.database import transaction
from models.dirty_days import DirtyDay
from models.products import Product
from tasks.aggregate import aggregate_days, aggregate_dirty
from tasks.retention import purge
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, body, crafted, store, store_events, uuid7_at
from tests.integration.test_door import check_problem

BASE = "/api/admin/analytics"
PROPERTIES = ("service_id", "device_type")
Headers = dict[str, str]
MARCH = "date_from=2026-02-01&date_to=2026-03-16"
REPORTS = [
    f"top-services/?{MARCH}",
    f"top/?property=device_type&{MARCH}",
    f"top/?property=event_type&{MARCH}",
    f"top/?property=source&{MARCH}",
    f"events-over-time/?{MARCH}",
    f"events-over-time/?interval=hour&group_by=source&{MARCH}",
    f"events-over-time/?group_by=event_type&source=web&{MARCH}",
    f"events-over-time/?event_type=product_view&source=&{MARCH}",
    *(f"popular-products/?sort={sort}&{MARCH}" for sort in ("score", "views", "sales", "revenue")),
    f"recommendations/?{MARCH}",
    f"sessions/?{MARCH}",
]


def events_of_weeks() -> list[dict[str, Any]]:
    """Make some of everything, over six weeks."""
    kinds = ["product_view", "purchase", "rec_shown", "rec_clicked", "page_view", "product_click"]
    return [
        {
            "event_type": kinds[n % 6],
            "occurred_at": NOW_MS - (n * 5 % 43) * DAY_MS - n * 7 * 60_000,
            "product_id": f"p{n % 4}",
            "value": 1.25 * n,
            "quantity": 1 + n % 3,
            "source": ["web", "ios", None][n % 3],
            "device_type": ["mobile", "desktop"][n % 2],
            "user_id": f"u{n % 5}" if n % 2 else None,
            "anonymous_id": f"a{n % 7}",
            "properties": {
                "service_id": f"s{n % 3}",
                "plan": n % 2,
                "placement": "home",
                "position": n % 4,
            },
        }
        for n in range(90)
    ]


def read(client: FlaskClient, path: str, headers: Headers) -> dict[str, Any]:
    answer = client.get(f"{BASE}/{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = body(answer)
    return found


def read_all(client: FlaskClient, headers: Headers) -> dict[str, dict[str, Any]]:
    found = {path: read(client, path, headers) for path in REPORTS}
    return {path: {**answer, "from": None} for path, answer in found.items()}


def test_a_purge_and_late_events_change_no_report(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(engine, *events_of_weeks())
    from_events = read_all(client, admin)
    assert read(client, REPORTS[0], admin)["from"] == "events"
    aggregate_dirty(engine, zone="UTC", now=NOW, properties=PROPERTIES)
    from_aggregates = read_all(client, admin)
    assert {read(client, path, admin)["from"] for path in REPORTS} == {"aggregates"}
    with transaction(engine) as session:
        session.add_all(DirtyDay(day=TODAY - timedelta(days=n)) for n in (0, 1, 4, 20))
    from_both = read_all(client, admin)
    purge(engine, days=20, zone="UTC", now=NOW, properties=PROPERTIES)
    after_purge = read_all(client, admin)

    for path in REPORTS:
        assert from_aggregates[path] == from_events[path], path
        assert from_both[path] == from_events[path], path
        assert after_purge[path] == from_events[path], path
    assert from_events[REPORTS[0]]["total"] == 90


def test_many_separate_days_are_recounted_without_those_between(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(engine, *events_of_weeks())
    aggregate_dirty(engine, zone="UTC", now=NOW, properties=PROPERTIES)
    clean = read_all(client, admin)
    with transaction(engine) as session:
        session.add_all(DirtyDay(day=TODAY - timedelta(days=2 * n)) for n in range(20))

    assert read_all(client, admin) == clean


def test_a_property_that_was_not_configured_is_known_as_long_as_its_events(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(engine, *events_of_weeks())
    aggregate_dirty(engine, zone="UTC", now=NOW, properties=PROPERTIES)
    path = f"top/?property=plan&{MARCH}"

    before = read(client, path, admin)
    purge(engine, days=20, zone="UTC", now=NOW, properties=PROPERTIES)
    after = read(client, path, admin)

    assert (before["from"], before["complete"], before["total"]) == ("events", True, 90)
    assert [row["value"] for row in before["values"]] == ["0", "1"]
    assert (after["complete"], after["whole_from"]) == (False, "2026-02-26")
    assert 0 < after["total"] < 90


def test_a_property_configured_later_is_counted_from_then_on(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(engine, *events_of_weeks())
    aggregate_dirty(engine, zone="UTC", now=NOW)
    aggregate_days(engine, [TODAY], zone="UTC", now=NOW, properties=["plan"])

    answer = read(client, f"top/?property=plan&{MARCH}", admin)
    today = read(client, "top/?property=plan&date_from=2026-03-15", admin)

    assert (answer["total"], answer["from"]) == (90, "both")
    assert today["from"] == "aggregates"


def test_values_that_were_too_rare_stay_in_the_total(
    client: FlaskClient, engine: Engine, admin: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.daily_values.MAX_VALUES", 1)
    names = ["a", "a", "b", "c"]
    store_events(
        engine, *[{"event_type": "x", "properties": {"service_id": name}} for name in names]
    )
    aggregate_dirty(engine, zone="UTC", now=NOW, properties=PROPERTIES)

    answer = read(client, "top-services/", admin)

    assert (answer["total"], answer["other"]) == (4, 2)
    assert answer["values"] == [{"value": "a", "events": 2, "share": 0.5}]


@pytest.mark.parametrize("aggregated", [False, True])
@pytest.mark.parametrize(
    ("zone", "day", "starts", "offsets"),
    [
        ("UTC", "2026-03-14", 24, {"+00:00"}),
        ("Europe/Berlin", "2025-10-26", 25, {"+02:00", "+01:00"}),
        ("Europe/Berlin", "2025-03-30", 23, {"+01:00", "+02:00"}),
        ("Asia/Kolkata", "2026-03-14", 24, {"+05:30"}),
        ("Pacific/Chatham", "2026-03-14", 24, {"+13:45"}),
        ("Pacific/Chatham", "2025-06-14", 24, {"+12:45"}),
        ("America/Los_Angeles", "2025-11-02", 25, {"-07:00", "-08:00"}),
        ("Australia/Lord_Howe", "2025-10-05", 24, {"+10:30", "+11:00"}),
    ],
)
def test_a_day_has_the_hours_of_its_zone(
    app_with: Callable[..., FlaskClient],
    engine: Engine,
    admin: Headers,
    zone: str,
    day: str,
    starts: int,
    offsets: set[str],
    aggregated: bool,
) -> None:
    client = app_with(report_timezone=zone)
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    moments = [midnight + timedelta(minutes=20 * n) for n in range(3 * 22)]
    store_events(
        engine, *[{"event_type": "x", "occurred_at": at.isoformat()} for at in moments], zone=zone
    )
    if aggregated:
        aggregate_dirty(engine, zone=zone, now=NOW)
    end = (datetime.fromisoformat(day) + timedelta(days=1)).date()
    span = f"date_from={day}&date_to={end}"

    hours = read(client, f"events-over-time/?interval=hour&{span}", admin)
    days = read(client, f"events-over-time/?{span}", admin)

    assert len(hours["buckets"]) == starts
    assert sum(bucket["events"] for bucket in hours["buckets"]) == len(moments)
    assert {bucket["start"][-6:] for bucket in hours["buckets"]} == offsets
    assert datetime.fromisoformat(hours["buckets"][0]["start"]) == midnight
    assert [bucket["events"] for bucket in days["buckets"]] == [len(moments)]
    assert days["buckets"][0]["start"].startswith(f"{day}T00:00:00")
    assert (hours["from"], hours["timezone"]) == ("aggregates" if aggregated else "events", zone)


def test_small_groups_share_a_series(client: FlaskClient, engine: Engine, admin: Headers) -> None:
    store_events(
        engine,
        *[{"event_type": f"t{n}"} for n in range(23)],
        *[{"event_type": "t7"} for _ in range(2)],
    )

    answer = read(client, "events-over-time/?group_by=event_type&date_from=2026-03-15", admin)

    assert (len(answer["series"]), answer["buckets"][0]["events"]) == (21, 25)
    assert answer["series"][0] == {"name": "t7", "events": [3]}
    assert answer["series"][-1] == {"name": None, "events": [3]}


def test_popular_products_have_names_and_can_be_narrowed(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(engine, *events_of_weeks())
    with transaction(engine) as session:
        session.add(Product(product_id="p1", name="One", category="c"))

    everything = read(client, f"popular-products/?sort=views&limit=2&{MARCH}", admin)
    narrowed = read(client, f"popular-products/?category=c&{MARCH}", admin)

    views = [product["views"] for product in everything["products"]]
    assert views == sorted(views, reverse=True)
    assert len(views) == 2
    assert [(row["product_id"], row["name"]) for row in narrowed["products"]] == [("p1", "One")]
    assert read(client, f"popular-products/?category=none&{MARCH}", admin)["products"] == []


def test_recommendations_by_placement_and_position(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    items = [{"product_id": f"p{n}", "position": n} for n in (1, 2)]
    home = {"placement": "home"}
    store_events(
        engine,
        *[{"event_type": "rec_shown", "items": items, "properties": home} for _ in range(5)],
        {"event_type": "rec_clicked", "properties": {**home, "position": 1}},
        {"event_type": "rec_clicked", "properties": {"placement": "cart"}},
    )

    answer = read(client, "recommendations/", admin)

    total, (first, *_) = answer["total"], answer["by_placement"]
    assert (total["shown"], total["clicked"], total["click_through_rate"]["value"]) == (0, 0, None)
    assert (total["unlisted"]["shown"], total["unlisted"]["clicked"]) == (10, 2)
    assert (first["placement"], first["position"]) == ("home", None)
    rate = first["unlisted"]["click_through_rate"]
    assert 0 < rate["low"] < rate["value"] == 0.1 < rate["high"] < 0.5
    assert [row["rung"] for row in answer["by_rung"]] == ["unlisted"]
    assert [row["position"] for row in answer["by_position"]] == [0, 1, 2]
    cart = next(row for row in answer["by_place"] if row["placement"] == "cart")["unlisted"]
    assert (cart["clicked"], cart["click_through_rate"]["value"]) == (1, None)


def test_sessions_of_each_day_and_in_total(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    for minutes in (0, 10, 90):
        at = NOW_MS - minutes * 60_000
        store_events(engine, {"event_type": "x", "user_id": "u", "occurred_at": at})

    answer = read(client, "sessions/?date_from=2026-03-14&date_to=2026-03-16", admin)

    assert answer["total"] == {
        "sessions": 2,
        "events": 3,
        "events_per_session": 1.5,
        "mean_duration_s": 300.0,
        "bounce_rate": 0.5,
    }
    assert [(row["date"], row["sessions"]) for row in answer["by_day"]] == [
        ("2026-03-14", 0),
        ("2026-03-15", 2),
    ]
    assert answer["by_day"][0]["bounce_rate"] is None


NAMES = [
    "a'b",
    'a"b',
    "[x]",
    "{a,b}",
    "$.a",
    "%s",
    ":zone",
    "a; DROP TABLE events",
    "ключ",
    "x" * 200,
    "event_id",
    "properties",
    "items",
    "value",
    "quantity",
    "user_agent",
    "?",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_may_be_asked_for(
    client: FlaskClient, engine: Engine, admin: Headers, name: str
) -> None:
    properties = {name: "found", "nested": {"a": [1]}, "large": 1e308}
    store(engine, crafted({"event_id": uuid7_at(NOW_MS), "properties": properties}))

    answer = read(client, f"top/?property={quote(name)}", admin)

    assert answer["property"] == name
    known = name in ("value", "quantity", "user_agent")
    assert [row["value"] for row in answer["values"]] == ([] if known else ["found"])
    aggregate_dirty(engine, zone="UTC", now=NOW, properties=[name, "nested", "large"])
    again = read(client, f"top/?property={quote(name)}", admin)
    assert {**again, "from": None} == {**answer, "from": None}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("top/", 422),
        ("top/?property=", 422),
        (f"top/?property={'x' * 201}", 422),
        ("top/?property=%00", 400),
        ("top/?property=%ff%fe", 200),
        ("top-services/?limit=0", 422),
        ("top-services/?limit=1e3", 422),
        ("sessions/?date_from=2026-03-15&date_to=2026-03-15", 422),
        ("sessions/?date_from=0001-01-01", 422),
        ("sessions/?date_from=9999-01-01", 200),
        ("sessions/?date_to=1970-01-06", 200),
        ("recommendations/?date_from=1970-01-05&date_to=1970-01-06", 200),
        ("sessions/?date_from=2026-03-15&date_to=x", 422),
        ("events-over-time/?interval=minute", 422),
        ("events-over-time/?group_by=user_id", 422),
        ("events-over-time/?interval=hour&date_from=9999-01-01", 200),
        ("events-over-time/?interval=hour&date_from=2026-01-01&date_to=2026-03-04", 200),
        ("events-over-time/?interval=hour&date_from=2026-01-01&date_to=2026-03-05", 422),
        ("events-over-time/?interval=hour&date_from=1970-01-05&date_to=1970-01-06", 200),
        ("popular-products/?sort=price", 422),
        ("popular-products/?category=%27%3B--", 200),
        ("active-users/?method=guess", 422),
        ("active-users/?method=sketch&date=1970-01-05", 200),
        ("active-users/?date=9999-01-01", 200),
    ],
)
def test_a_query_at_the_bounds_gets_an_answer(
    client: FlaskClient, admin: Headers, path: str, status: int
) -> None:
    answer = client.get(f"{BASE}/{path}", headers=admin)

    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "path",
    ["top-services", "top", "events-over-time", "popular-products", "recommendations", "sessions"],
)
def test_a_range_report_needs_an_admin_token_and_no_last_slash(
    client: FlaskClient, admin: Headers, path: str
) -> None:
    check_problem(client.get(f"{BASE}/{path}/"), 401, "token_required")
    query = "?property=source" if path == "top" else ""
    assert client.get(f"{BASE}/{path}{query}", headers=admin).status_code == 200
    assert client.get(f"{BASE}/{path}/{query}", headers=admin).status_code == 200
