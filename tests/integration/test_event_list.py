"""The event list: every filter, in any combination, page by page, never through a whole day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from app.schemas.events import EventAnswer
from event_ids import first_id_of
from models.database import transaction
from models.event_list import EventFilter, find_sql, read_page
from models.partitions import ensure_partitions
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, body, empty, store_events, uuid7_at
from tests.integration.test_door import check_problem

LIST = "/api/events/"
Headers = dict[str, str]


def event(number: int, days_ago: float = 0, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "page_view",
        "event_id": uuid7_at(NOW_MS - int(days_ago * DAY_MS) - number, number),
        "properties": {"number": number},
        **fields,
    }


def numbers(answer: Any) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [item["properties"]["number"] for item in body(answer)["events"]]


def sample(engine: Engine) -> None:
    """Store events that differ in one thing each."""
    store_events(
        engine,
        event(1, user_id="u1", session_id="s1"),
        event(2, anonymous_id="a1", product_id="p1", event_type="product_view"),
        event(3, 2, user_id="u1", entity_type="project", entity_id="7"),
        event(4, 2, user_id="u2", entity_type="project", entity_id="8"),
        event(5, 9, user_id="u1", event_type="login"),
        event(6, 100, user_id="u1", event_type="cart_add", product_id="p1"),
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [1, 2, 3, 4, 5, 6]),
        ("user_id=u1", [1, 3, 5, 6]),
        ("anonymous_id=a1", [2]),
        ("session_id=s1", [1]),
        ("product_id=p1", [2, 6]),
        ("event_type=login", [5]),
        ("event_type=view,cart_add,%20signed_in", [2, 5, 6]),
        ("event_category=product", [2]),
        ("entity_type=project", [3, 4]),
        ("entity_type=project&entity_id=8", [4]),
        ("days=3", [1, 2, 3, 4]),
        ("since=2026-03-06T00:00:00Z", [1, 2, 3, 4, 5]),
        ("until=2026-03-14T00:00:00", [3, 4, 5, 6]),
        ("since=2026-03-06&until=2026-03-14", [3, 4, 5]),
        ("user_id=u1&entity_type=project", [3]),
        ("user_id=u1&days=20&event_type=login,page_view", [1, 3, 5]),
        ("user_id=u1&product_id=p1&event_category=cart", [6]),
        ("user_id=nobody", []),
        ("event_type=page_view&product_id=p1", []),
    ],
)
def test_filters_leave_the_events_that_meet_them_all(
    client: FlaskClient, engine: Engine, admin: Headers, query: str, expected: list[int]
) -> None:
    sample(engine)

    assert numbers(client.get(f"{LIST}?{query}", headers=admin)) == expected


def test_an_event_is_given_with_all_its_columns(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    store_events(
        engine,
        {
            "event_type": "purchase",
            "message_id": "m1",
            "occurred_at": "2026-03-15T11:00:00Z",
            "items": [{"product_id": "p1", "quantity": 2}],
            "value": 9.5,
            "context": {"deep": [{"er": None}]},
        },
    )

    (found,) = body(client.get(LIST[:-1], headers=admin))["events"]

    assert found["occurred_at"] == "2026-03-15T11:00:00+00:00"
    assert (found["event_type"], found["event_category"]) == ("purchase", "order")
    assert found["items"] == [{"product_id": "p1", "quantity": 2}]
    assert (found["value"], found["message_id"]) == ("9.5", "m1")
    assert (found["properties"], found["context"]) == (None, {"deep": [{"er": None}]})
    assert set(found) == set(EventAnswer().fields)
    assert EventAnswer().validate(found) == {}


def pages(client: FlaskClient, admin: Headers, query: str) -> Iterator[list[int]]:
    cursor = ""
    while True:
        answer = client.get(f"{LIST}?{query}{cursor}", headers=admin)
        yield numbers(answer)
        if body(answer)["next_cursor"] is None:
            return
        cursor = f"&cursor={body(answer)['next_cursor']}"


def undated(number: int) -> dict[str, Any]:
    return {"event_type": "page_view", "message_id": f"m{number}", "properties": {"number": number}}


def test_pages_hold_each_event_once_and_those_without_a_time_come_last(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    sample(engine)
    store_events(engine, *(undated(number) for number in range(7, 12)))

    found = list(pages(client, admin, "limit=2"))

    assert [len(page) for page in found] == [2, 2, 2, 2, 2, 1]
    together = [number for page in found for number in page]
    assert together[:6] == [1, 2, 3, 4, 5, 6]
    assert sorted(together[6:]) == [7, 8, 9, 10, 11]


@hypothesis_settings(max_examples=8)
@given(
    events=st.lists(
        st.tuples(st.sampled_from([0, 1, 3, 20, 29]), st.sampled_from("ab"), st.booleans()),
        max_size=25,
    ),
    user=st.sampled_from([None, "a"]),
    limit=st.sampled_from([1, 3, 7]),
    crowd=st.sampled_from([1, 4, 2000]),
)
def test_any_walk_finds_what_one_query_would(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    events: list[tuple[int, str, bool]],
    user: str | None,
    limit: int,
    crowd: int,
) -> None:
    monkeypatch.setattr("models.event_list.CROWD", crowd)
    empty(engine)
    for number, (days, name, is_dated) in enumerate(events, start=1):
        one = event(number, days) if is_dated else undated(number)
        store_events(engine, {**one, "user_id": name})
    wanted = EventFilter(user_id=user)
    condition, parameters = wanted.to_sql()
    with transaction(engine) as session:
        expected = session.scalars(
            text(f"SELECT event_id FROM events WHERE {condition} ORDER BY event_id DESC"),
            parameters,
        ).all()

    found, last = [], None
    while True:
        page = read_page(engine, wanted, before=last, limit=limit, today=TODAY)
        found += [row.event_id for row in page.events]
        last = page.last_id
        if last is None:
            break

    assert found == expected


def test_an_event_whose_id_is_off_its_time_is_found_by_its_time(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    ahead = event(1, -0.9, occurred_at=NOW_MS)
    behind = event(2, 1.9, occurred_at=NOW_MS - DAY_MS)
    store_events(engine, ahead, behind)
    moment = (NOW - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    assert numbers(client.get(f"{LIST}?since={moment}", headers=admin)) == [1]
    assert numbers(client.get(f"{LIST}?until={moment}", headers=admin)) == [2]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("entity_id=7", 422, "entity_type_missing"),
        ("days=3&since=2026-03-01", 422, "ambiguous_period"),
        ("since=2026-03-02&until=2026-03-02", 422, "empty_period"),
        ("event_type=,", 422, "no_event_type"),
        ("limit=0", 422, "invalid"),
        ("limit=1001", 422, "invalid"),
        ("days=99999999999", 422, "invalid"),
        ("since=294277-01-01", 422, "invalid"),
        ("user_id=", 422, "invalid"),
        ("user_id=" + "x" * 201, 422, "invalid"),
        ("user_id=%00", 400, "bad_request"),
        ("cursor=x", 400, "bad_cursor"),
        ("cursor=WzFd", 400, "bad_cursor"),
        ("cursor=WyJ4Il0", 400, "bad_cursor"),
    ],
)
def test_a_query_that_means_nothing_is_refused(
    client: FlaskClient, admin: Headers, query: str, status: int, code: str
) -> None:
    check_problem(client.get(f"{LIST}?{query}", headers=admin), status, code)


@pytest.mark.parametrize(
    "query",
    [
        "since=0001-01-01T00:00:00%2B14:00",
        "until=9999-12-31T23:59:59-12:00",
        "since=9999-12-31",
        "until=0001-01-01",
        "days=36500",
        # The highest and the lowest id, as cursors.
        "cursor=WyJmZmZmZmZmZi1mZmZmLWZmZmYtZmZmZi1mZmZmZmZmZmZmZmYiXQ",
        "cursor=WyIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAiXQ",
        "user_id=%F0%9F%A6%A9%ff'%3B--",
    ],
)
def test_the_far_ends_of_time_and_text_are_answered(
    client: FlaskClient, admin: Headers, query: str
) -> None:
    assert client.get(f"{LIST}?{query}", headers=admin).status_code == 200


#: One value in some hundred events for each filter; `nothing` occurs nowhere.
RARE = {
    "user_id": "user-7",
    "anonymous_id": "anon-7",
    "session_id": "sess-7",
    "product_id": "prod-7",
    "event_types": ("standup_completed", "nothing"),
    "event_category": "rare",
    "entity_type": "project",
    "entity_id": "7",
}
ABSENT = {
    name: ("nothing",) if name == "event_types" else "nothing"
    for name in RARE
    if name != "entity_id"
}


def many(engine: Engine) -> None:
    """Store 20,000 events over 10 days, in which the rare values are one in 200."""
    days = [TODAY - timedelta(days=n) for n in range(10)]
    with transaction(engine) as session:
        ensure_partitions(session, days)
    with transaction(engine) as session:
        for day in days:
            session.execute(
                text(
                    """
INSERT INTO events (event_id, occurred_at, received_at, event_type, event_category, event_action,
    user_id, anonymous_id, session_id, product_id, entity_type, entity_id)
SELECT CAST(CAST(:prefix AS text) || lpad(to_hex(i), 12, '0') AS uuid),
    CAST(:day AS date) + i * interval '1 s', now(),
    CASE i % 200 WHEN 7 THEN 'standup_completed' ELSE 'page_view' END,
    CASE i % 200 WHEN 7 THEN 'rare' ELSE 'navigation' END, 'view', 'user-' || i % 200,
    'anon-' || i % 200, 'sess-' || i % 200, 'prod-' || i % 200,
    CASE i % 200 WHEN 7 THEN 'project' END, CASE i % 200 WHEN 7 THEN '7' END
FROM generate_series(1, 2000) AS i"""
                ),
                {"day": day, "prefix": first_id_of(day)[:24]},
            )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE events"))


def scans(engine: Engine, wanted: EventFilter, *, days: int) -> Iterator[dict[str, Any]]:
    """Give the scans of partitions in the plan of a window that ends with today."""
    statement, parameters = find_sql(wanted, is_narrow=days == 1)
    bounds = {
        "low": first_id_of(TODAY - timedelta(days=days - 1)),
        "high": first_id_of(TODAY + timedelta(days=1)),
        "limit": 51 if days == 1 else 2000,
    }
    with engine.connect() as connection:
        plan = connection.scalar(
            text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"), {**parameters, **bounds}
        )
    waiting = [plan[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        if "Relation Name" in node:
            yield node


def selective_filters() -> Iterator[dict[str, Any]]:
    """Give each filter alone and each pair of two, with rare values and with absent ones."""
    alone: list[dict[str, Any]] = [{"since": NOW - timedelta(hours=1)}]
    alone += [{name: value} for values in (RARE, ABSENT) for name, value in values.items()]
    yield from alone
    for one, other in combinations(alone, 2):
        if not one.keys() & other.keys():
            yield {**one, **other}


def test_no_filter_and_no_pair_of_filters_reads_a_whole_partition(engine: Engine) -> None:
    many(engine)

    for fields in selective_filters():
        if "entity_id" in fields:
            fields = {"entity_type": "project", **fields}
        for days in (1, 10):
            for scan in scans(engine, EventFilter(**fields), days=days):
                assert scan["Node Type"] != "Seq Scan", (fields, days)
                assert scan.get("Rows Removed by Filter", 0) <= 200, (fields, days, scan)


def test_a_window_reads_the_partitions_of_its_days_only(engine: Engine) -> None:
    many(engine)

    tables = {scan["Relation Name"] for scan in scans(engine, EventFilter(user_id="u"), days=1)}

    assert tables == {f"events_{TODAY:%Y%m%d}"}
