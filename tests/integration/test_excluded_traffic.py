"""Events that are flagged: stored, listed and exported, and in no figure unless it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from models.base import Base
from models.cleanup import remove_wanted
from models.daily_excluded import MAX_REASONS, REST, DailyExcluded
from models.database import transaction
from models.erasures import request_erasure
from models.event_list import EventFilter
from models.histories import read_histories
from models.holdings import count_held, stream_held
from models.identities import IdentityLink
from models.interactions import INTERACTIONS, interaction_bounds
from models.invariants import check_invariants
from models.person import Person
from models.product_metrics import ProductMetrics
from models.reports.people import read_active
from models.reports.summary import read_day
from models.suppressions import Salts
from models.weekly_product_metrics import WeeklyProductMetrics
from settings import Settings
from tasks.aggregate import aggregate_dirty
from tasks.erase import erase
from tasks.ingest import Drainer
from tasks.reconcile import rebuild, reconcile
from tasks.retention import purge
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, body, empty, store_events

Headers = dict[str, str]
PROPERTIES = ("service_id", "device_type")
#: What holds counted figures, but for when they were counted, and for sketches: those of the same
#: people may differ in their bytes.
FIGURES = (
    "daily_totals", "daily_aggregates", "hourly_aggregates", "daily_product_metrics",
    "weekly_product_metrics", "daily_values", "daily_sessions", "daily_recommendations",
    "daily_recommendation_credit",
    "product_metrics", "purged_product_metrics", "identities",
)  # fmt: skip
LEFT_OUT = ("computed_at", "sealed_at", "linked_at", "users_sketch", "anonymous_sketch")
#: Other rows only tell that their day was counted, as one of flagged events is.
SAYING = {
    "daily_totals": "events > 0",
    "daily_sessions": "sessions > 0",
    "daily_values": "events > 0",
}
KINDS = [
    "page_view", "product_view", "purchase", "refund", "rate", "product_list_view", "login",
    "identify", "rec_shown", "rec_clicked", "search",
]  # fmt: skip


def event(number: int, kind: str, person: int, age_days: float, **fields: Any) -> dict[str, Any]:
    """Make an event of one of three people, who are known every other time."""
    lines = [{"product_id": f"p{number % 4}", "quantity": 2, "value": 1.5, "position": 1}]
    known = number % 2 or kind in ("login", "identify")
    return {
        "event_type": kind,
        "message_id": f"m{number}",
        "occurred_at": NOW_MS - int(age_days * DAY_MS),
        "anonymous_id": f"a{person}",
        "session_id": f"s{person}",
        "source": ("web", "ios")[number % 2],
        "properties": {"service_id": f"service {number % 3}", "placement": "home"},
        **({"user_id": f"u{person}"} if known else {}),
        **({"product_id": f"p{number % 4}", "value": 4} if number % 3 else {"items": lines}),
        **fields,
    }


def figures(engine: Engine, zone: str) -> dict[str, Any]:
    """Give all that is counted, and what training would read."""
    found: dict[str, Any] = {}
    with transaction(engine) as session:
        for name in FIGURES:
            columns = ", ".join(
                column.name
                for column in Base.metadata.tables[name].c
                if column.name not in LEFT_OUT
            )
            query = text(f"SELECT {columns} FROM {name} WHERE {SAYING.get(name, 'true')}")
            found[name] = sorted(map(repr, session.execute(query)))
        bounds = interaction_bounds(NOW - timedelta(days=90), NOW)
        found["interactions"] = session.execute(INTERACTIONS, bounds).all()
        found["history"] = read_histories(session.connection(), {0: Person("u1")}, now=NOW)
        found["active"] = read_active(session, TODAY, zone=zone, method="sketch")
        day = read_day(session, TODAY, zone=zone)
        found["day"] = (day.events, day.unique_users, day.types, day.products)
    return found


def check(engine: Engine, client: redis.Redis, settings: Settings, zone: str) -> None:
    found = check_invariants(engine, client, zone=zone, secret_key=settings.secret_key)
    assert [item for item in found if not item.ok] == []


def live_through(
    engine: Engine, client: redis.Redis, settings: Settings, events: Sequence[Any], zone: str
) -> list[dict[str, Any]]:
    """Store events, and do everything that changes what is stored; give the figures at each step.

    All invariants hold at each of them.
    """
    empty(engine)
    seen = []

    def look(*, aggregate: bool = True) -> None:
        if aggregate:
            aggregate_dirty(engine, zone=zone, now=NOW, properties=PROPERTIES)
        check(engine, client, settings, zone)
        seen.append(figures(engine, zone))

    store_events(engine, *events[::2], zone=zone)
    look(aggregate=False)
    look()
    store_events(engine, *events[1::2], *events[:3], zone=zone)
    look()
    remove_wanted(engine, EventFilter(user_id="u0"), zone=zone, limit=1000, today=TODAY)
    look()
    salts = Salts.of(settings.secret_key)
    with transaction(engine) as session:
        person = Person(user_id="u1", anonymous_ids=("a1",))
        erasure_id = request_erasure(session, salts, person, now=NOW).erasure_id
    erase(engine, client, erasure_id, secret_key=settings.secret_key, zone=zone, clock=lambda: NOW)
    with transaction(engine) as session:
        assert count_held(session, client, person)["events"] == 0
    look()
    purge(engine, days=30, zone=zone, now=NOW, by_type={"search": 10}, properties=PROPERTIES)
    check(engine, client, settings, zone)
    look()
    assert reconcile(engine, day=TODAY, zone=zone)["drifted"] == 0
    drift = rebuild(engine, zone=zone).drift
    assert (drift.drifted, drift.differ_by_day) == (0, 0)
    # Sealed days keep the figures of what is removed now, and which are sealed differs.
    remove_wanted(engine, EventFilter(user_id="u2"), zone=zone, limit=1000, today=TODAY)
    aggregate_dirty(engine, zone=zone, now=NOW, properties=PROPERTIES)
    check(engine, client, settings, zone)
    return seen


_ages = st.sampled_from([0, 1, 9, 10, 11, 29, 30, 31, 40]).flatmap(lambda n: st.floats(n, n + 0.9))
_events = st.tuples(st.sampled_from(KINDS), st.integers(0, 2), _ages)


# An example takes a second: to find the smallest that fails would take minutes.
@hypothesis_settings(max_examples=6, phases=[Phase.explicit, Phase.generate])
@given(
    counted=st.lists(_events, min_size=4, max_size=12),
    flagged=st.lists(
        st.tuples(_events, st.sampled_from(["bot", "test", "headless", "staff"])),
        min_size=1,
        max_size=12,
    ),
    zone=st.sampled_from(["UTC", "Asia/Kolkata"]),
)
def test_flagged_events_change_no_figure_whatever_happens_to_them(
    engine: Engine,
    redis_client: redis.Redis,
    settings: Settings,
    counted: list[Any],
    flagged: list[Any],
    zone: str,
) -> None:
    people = [event(n, *drawn) for n, drawn in enumerate(counted)]
    others = [event(1000 + n, *drawn, excluded=reason) for n, (drawn, reason) in enumerate(flagged)]
    mixed = [item for pair in zip(others, people, strict=False) for item in pair]
    mixed += others[len(people) :] + people[len(others) :]

    with_others = live_through(engine, redis_client, settings, mixed, zone)
    alone = live_through(engine, redis_client, settings, people, zone)

    # Which events are in the first half differs.
    assert with_others[2:] == alone[2:]


def test_a_flagged_event_moves_no_counter_links_nobody_and_teaches_nothing(
    engine: Engine, session: Session
) -> None:
    store_events(
        engine,
        event(1, "purchase", 1, 0, excluded="bot"),
        event(2, "identify", 2, 0, excluded="test"),
        event(4, "product_view", 2, 0),
    )

    assert session.get(ProductMetrics, "p1") is None
    assert session.get_one(ProductMetrics, "p0").total_views == 1
    assert session.scalars(select(IdentityLink)).all() == []
    lines = session.execute(INTERACTIONS, interaction_bounds(NOW - timedelta(days=9), NOW)).all()
    assert [line.user_id for line in lines] == ["a2"]


def test_a_day_tells_what_it_leaves_out_before_and_after_it_is_aggregated_and_purged(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    day = {"date_from": "2026-02-03", "date_to": "2026-02-04"}
    store_events(
        engine,
        event(1, "page_view", 1, 40),
        *[event(10 + n, "page_view", 1, 40, excluded="bot") for n in range(3)],
        event(20, "page_view", 1, 40, excluded="test"),
    )

    def ask() -> tuple[Any, Any]:
        summary = client.get("/api/admin/analytics/daily-summary/?date=2026-02-03", headers=admin)
        report = client.get("/api/admin/analytics/excluded/", query_string=day, headers=admin)
        assert summary.json is not None
        told = summary.json["total_events"], summary.json["excluded"], summary.json["from"]
        return told, report.json

    told, report = ask()
    assert told == (1, {"bot": 3, "test": 1}, "events")
    assert (report["total"], report["from"]) == (4, "events")

    aggregate_dirty(engine, zone="UTC", now=NOW)
    assert ask()[0] == (1, {"bot": 3, "test": 1}, "aggregates")

    purge(engine, days=30, zone="UTC", now=NOW)
    told, report = ask()
    assert told == (1, {"bot": 3, "test": 1}, "aggregates")
    assert report == {
        **day,
        "complete": True,
        "whole_from": "2026-02-03",
        "from": "aggregates",
        "total": 4,
        "by_reason": {"bot": 3, "test": 1},
        "by_day": [{"date": "2026-02-03", "events": 4, "by_reason": {"bot": 3, "test": 1}}],
    }


def test_a_day_keeps_its_most_frequent_reasons(engine: Engine, session: Session) -> None:
    rare = [f"reason {n:03d}" for n in range(MAX_REASONS + 5)]
    numbered = enumerate([*rare, "bot", "bot"])
    store_events(engine, *[event(n, "search", 1, 0, excluded=why) for n, why in numbered])

    aggregate_dirty(engine, zone="UTC", now=NOW)

    rows = {row.reason: row.events for row in session.scalars(select(DailyExcluded))}
    assert (len(rows), rows["bot"], rows[REST]) == (MAX_REASONS + 1, 2, 6)


REPORTS = {
    "daily-summary/?date=2026-03-15": lambda found: found["total_events"],
    "active-users/?date=2026-03-15": lambda found: found["month"]["total"],
    "active-users/?date=2026-03-15&method=sketch": lambda found: found["month"]["total"],
    "events-over-time/": lambda found: sum(bucket["events"] for bucket in found["buckets"]),
    "events-over-time/?interval=hour": lambda found: sum(
        bucket["events"] for bucket in found["buckets"]
    ),
    "top/?property=event_type": lambda found: found["total"],
    "top/?property=device_type": lambda found: found["total"],
    "top-services/": lambda found: found["total"],
    "popular-products/": lambda found: sum(product["sales"] for product in found["products"]),
    "recommendations/": lambda found: found["total"]["unlisted"]["shown"],
    "sessions/": lambda found: found["total"]["events"],
}


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("aggregated", [False, True])
def test_a_report_counts_all_traffic_when_it_is_asked_to(
    engine: Engine, client: FlaskClient, admin: Headers, report: str, aggregated: bool
) -> None:
    kind = "rec_shown" if "recommendations" in report else "purchase"
    fields = {"device_type": "mobile", "items": None, "product_id": "p", "quantity": 1}
    store_events(
        engine,
        event(1, kind, 1, 0, **fields),
        event(2, kind, 2, 0, **fields, user_id="u2", excluded="test"),
    )
    if aggregated:
        aggregate_dirty(engine, zone="UTC", now=NOW)
    path = f"/api/admin/analytics/{report}{'&' if '?' in report else '?'}traffic="

    counted, everything = (
        body(client.get(f"{path}{traffic}", headers=admin)) for traffic in ("counted", "all")
    )

    assert (REPORTS[report](counted), REPORTS[report](everything)) == (1, 2)
    assert everything["from"] == "events"


def test_activity_counts_all_traffic_when_it_is_asked_to(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    store_events(engine, event(1, "search", 1, 1), event(3, "search", 1, 1, excluded="staff"))

    for path in ("/api/events/analytics?user_id=u1", "/api/users/u1/activity-summary/?days=9"):
        counted, everything = (
            body(client.get(f"{path}&traffic={traffic}", headers=admin))
            for traffic in ("counted", "all")
        )
        assert body(client.get(path, headers=admin))["total_events"] == counted["total_events"]
        assert (counted["total_events"], everything["total_events"]) == (1, 2)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("date_from=2026-02-13&date_to=2026-03-16", 200, None),
        ("date_from=2026-02-12&date_to=2026-03-16", 422, "period_too_long"),
        ("date_from=2026-02-01&date_to=2026-02-04", 422, "events_purged"),
        ("date_from=1970-01-05&date_to=1970-01-06", 422, "events_purged"),
        ("date_from=9998-12-31&date_to=9999-01-01", 200, None),
    ],
)
def test_all_traffic_of_too_many_or_of_purged_days_is_refused(
    engine: Engine, client: FlaskClient, admin: Headers, query: str, status: int, code: str | None
) -> None:
    store_events(engine, event(1, "search", 1, 40))
    purge(engine, days=38, zone="UTC", now=NOW)

    answer = client.get(f"/api/admin/analytics/sessions/?traffic=all&{query}", headers=admin)

    assert (answer.status_code, body(answer).get("code")) == (status, code)


@pytest.mark.parametrize("traffic", ["", "bots", "ALL", "all,counted", "\ufffd"])
def test_any_other_traffic_is_refused(client: FlaskClient, admin: Headers, traffic: str) -> None:
    answer = client.get(
        "/api/admin/analytics/daily-summary/", query_string={"traffic": traffic}, headers=admin
    )

    assert answer.status_code == 422
    assert set(body(answer)["errors"]["query"]) == {"traffic"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(None, 3), ("none", 1), ("any", 2), ("bot", 1), ("test", 1), ("nobody's", 0)],
)
def test_lists_and_exports_hold_flagged_events_and_can_leave_them_out(
    engine: Engine, client: FlaskClient, admin: Headers, wanted: str | None, found: int
) -> None:
    flags = [None, "bot", "test"]
    store_events(engine, *[event(n, "search", 1, n, excluded=flag) for n, flag in enumerate(flags)])
    query = {} if wanted is None else {"excluded": wanted}

    listed = client.get("/api/events/", query_string=query, headers=admin)
    exported = client.get(
        "/api/admin/analytics/export/",
        query_string={**query, "format": "ndjson", "days": 9},
        headers=admin,
    )

    events = body(listed)["events"]
    assert [len(events), len(exported.text.splitlines())] == [found, found]
    if wanted is None:
        assert [item["excluded"] for item in events] == flags


def test_sessions_and_a_persons_own_data_show_flagged_events_with_the_reason(
    engine: Engine, client: FlaskClient, admin: Headers, redis_client: redis.Redis
) -> None:
    store_events(engine, event(1, "search", 1, 0), event(3, "search", 1, 0, excluded="bot"))

    shown = body(client.get("/api/events/session/s1/", headers=admin))
    held = b"".join(stream_held(engine, redis_client, Person(user_id="u1"), salts=None))

    assert sorted(item["excluded"] or "" for item in shown["events"]) == ["", "bot"]
    assert held.count(b'"excluded":"bot"') == 1


def test_what_a_test_key_or_a_crawler_sends_is_stored_and_flagged(
    engine: Engine,
    client: FlaskClient,
    admin: Headers,
    drainer: Drainer,
    post: Any,
) -> None:
    made = client.post(
        "/api/keys", json={"kind": "write", "name": "tests", "test": True}, headers=admin
    )
    sent = {"event_type": "product_view", "product_id": "p", "session_id": "s"}
    googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

    post(sent, headers={"X-Write-Key": body(made)["key"]})
    post(sent, headers={"User-Agent": googlebot})
    post({**sent, "excluded": "staff"})
    post(sent, headers={"User-Agent": "python-requests/2.32.3"})
    drainer.drain()

    events = body(client.get("/api/events/", headers=admin))["events"]
    assert sorted(item["excluded"] or "" for item in events) == ["", "bot", "staff", "test"]
    with transaction(engine) as session:
        assert session.get_one(ProductMetrics, "p").total_views == 1


def test_weeks_and_days_agree_with_flagged_events_in_them(
    engine: Engine, redis_client: redis.Redis, settings: Settings, session: Session
) -> None:
    store_events(
        engine,
        event(1, "product_view", 1, 10),
        event(5, "product_view", 1, 10, excluded="test"),
    )

    aggregate_dirty(engine, zone="UTC", now=NOW)

    assert [row.total_views for row in session.scalars(select(WeeklyProductMetrics))] == [1]
    session.rollback()
    check(engine, redis_client, settings, "UTC")
