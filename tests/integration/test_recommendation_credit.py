"""The closed loop: which lists earned which clicks and purchases."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from models.database import transaction
from models.erasures import request_erasure
from models.identities import link
from models.invariants import check_invariants
from models.person import Person
from models.recommendation_lines import rung_sql, rungs_sql, version_sql
from models.reports.recommendations import Effectiveness, Unlisted, read_recommendations
from models.suppressions import Salts
from recommendation_ids import LETTERS, make_recommendation_id, read_recommendation_id
from settings import Settings
from tasks.aggregate import aggregate_dirty
from tasks.erase import erase
from tasks.ingest import Drainer
from tasks.retention import purge
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, body, empty, store_events

Headers = dict[str, str]
MINUTE_MS = 60_000
LIST = make_recommendation_id(17, ["person", "person", "trending"], at=NOW)
OTHER = make_recommendation_id(18, ["popular"], at=NOW)
PATH = "/api/admin/analytics/recommendations/"
START = TODAY - timedelta(days=30)


def event(kind: str, minutes: float, *, by: str = "u", **fields: Any) -> dict[str, Any]:
    """Make an event of a user some minutes before or after midnight, three weeks ago."""
    return {
        "event_type": kind,
        "occurred_at": NOW_MS - NOW_MS % DAY_MS - 21 * DAY_MS + int(minutes * MINUTE_MS),
        **({"anonymous_id": by} if by.startswith("a") else {"user_id": by}),
        **fields,
    }


def shown(minutes: float, *products: str, list_id: str = LIST, **fields: Any) -> dict[str, Any]:
    items = [{"product_id": name, "position": n} for n, name in enumerate(products, start=1)]
    properties = {"recommendation_id": list_id, "placement": "home"}
    return event("rec_shown", minutes, items=items, properties=properties, **fields)


def clicked(minutes: float, product: str, list_id: str = LIST, **fields: Any) -> dict[str, Any]:
    properties = {"recommendation_id": list_id}
    return event("rec_clicked", minutes, product_id=product, properties=properties, **fields)


def bought(minutes: float, product: str, value: float = 9.5, **fields: Any) -> dict[str, Any]:
    return event("purchase", minutes, product_id=product, value=value, **fields)


def told(minutes: float, product: str, list_id: str = LIST, **more: Any) -> dict[str, Any]:
    properties = {"recommendation_id": list_id, **more}
    return event("rec_purchased", minutes, product_id=product, properties=properties)


def report(engine: Engine, **asked: Any) -> Effectiveness:
    with transaction(engine) as session:
        return read_recommendations(session, START, TODAY, zone="UTC", **asked)


def figures(engine: Engine) -> tuple[int, int, int, int, Decimal]:
    """Give what was shown, clicked, purchased, converted and earned, before or after a count."""
    total = report(engine).total
    return total.shown, total.clicked, total.purchased, total.converted, total.revenue


def aggregate(engine: Engine) -> None:
    aggregate_dirty(engine, zone="UTC", now=NOW)


def check(engine: Engine, client: redis.Redis) -> None:
    found = check_invariants(engine, client, zone="UTC")
    assert [item for item in found if not item.ok and item.id != "I11"] == []


def counted(engine: Engine, *events: dict[str, Any]) -> tuple[int, int, int, int, Decimal]:
    """Store events and give their figures, which are the same once they are aggregated."""
    store_events(engine, *events)
    before = figures(engine)
    aggregate(engine)
    assert figures(engine) == before
    return before


def test_a_list_is_shown_clicked_and_bought_from(
    engine: Engine, redis_client: redis.Redis, client: FlaskClient, admin: Headers
) -> None:
    store_events(
        engine, shown(0, "p", "q", "r"), clicked(10, "q"), bought(60, "q"), bought(70, "r")
    )
    aggregate(engine)

    answer = body(client.get(f"{PATH}?date_from=2026-02-01&group_by=rung", headers=admin))

    total = answer["total"]
    assert (total["lists"], total["shown"], total["clicked"], total["purchased"]) == (1, 3, 1, 1)
    assert (total["converted"], total["revenue"]) == (1, "9.50")
    assert total["click_through_rate"]["value"] == total["purchase_rate"]["value"] == 0.333333
    assert [row["model_version"] for row in answer["by_model_version"]] == [17]
    assert [(row["rung"], row["shown"], row["clicked"]) for row in answer["groups"]] == [
        ("person", 2, 1),
        ("trending", 1, 0),
    ]
    assert answer["groups"][0]["lists"] is None
    assert answer["groups"] == answer["by_rung"]
    assert [(row["position"], row["purchased"]) for row in answer["by_position"]] == [
        (1, 0), (2, 1), (3, 0),
    ]  # fmt: skip
    check(engine, redis_client)


#: What happens, and what is shown, clicked, purchased and converted by it.
CASES: dict[str, tuple[list[dict[str, Any]], tuple[int, ...]]] = {
    "a list that is told again": (
        [shown(0, "p", "q"), shown(1, "p", "q"), shown(500, "q")],
        (2, 0, 0, 0),
    ),
    "a list that two people see": ([shown(0, "p"), shown(0, "p", by="v")], (2, 0, 0, 0)),
    "a list that is shown on two days": ([shown(0, "p"), shown(1440, "p")], (2, 0, 0, 0)),
    "a click in the last second of half an hour": (
        [shown(0, "p"), clicked(30, "p")],
        (1, 1, 0, 0),
    ),
    "a click that comes too late": ([shown(0, "p"), clicked(30.01, "p")], (1, 0, 0, 0)),
    "a late click on a list that is told again": (
        [shown(0, "p"), shown(40, "p"), clicked(60, "p")],
        (1, 1, 0, 0),
    ),
    "a click before the list": ([shown(1, "p"), clicked(0, "p")], (1, 0, 0, 0)),
    "a click on a product of no list": ([shown(0, "p"), clicked(1, "q")], (1, 0, 0, 0)),
    "a click on a list never shown": (
        [shown(0, "p"), clicked(1, "p", OTHER), bought(2, "p")],
        (1, 0, 0, 0),
    ),
    "somebody else's click": ([shown(0, "p"), clicked(1, "p", by="v")], (1, 0, 0, 0)),
    "clicks time and again": (
        [shown(0, "p"), clicked(1, "p"), clicked(2, "p"), clicked(3, "p")],
        (1, 1, 0, 0),
    ),
    "a click after midnight": ([shown(-5, "p"), clicked(5, "p")], (1, 1, 0, 0)),
    "a purchase without a click": ([shown(0, "p"), bought(5, "p")], (1, 0, 0, 0)),
    "a purchase before the click": (
        [shown(0, "p"), clicked(6, "p"), bought(5, "p")],
        (1, 1, 0, 0),
    ),
    "a purchase on the seventh day": (
        [shown(0, "p"), clicked(5, "p"), bought(5 + 7 * 1440, "p")],
        (1, 1, 1, 1),
    ),
    "a purchase after the seventh day": (
        [shown(0, "p"), clicked(5, "p"), bought(5.01 + 7 * 1440, "p")],
        (1, 1, 0, 0),
    ),
    "two orders": (
        [shown(0, "p"), clicked(1, "p"), bought(2, "p"), bought(3000, "p")],
        (1, 1, 2, 1),
    ),
    "an order that is told twice": (
        [shown(0, "p"), clicked(1, "p"), bought(5, "p"), told(14, "p")],
        (1, 1, 1, 1),
    ),
    "an order that is told twice within hours": (
        [
            shown(0, "p"),
            clicked(1, "p"),
            told(5, "p", order_id="o-1"),
            bought(600, "p", entity_type="order", entity_id="o-1"),
        ],
        (1, 1, 1, 1),
    ),
    "two orders within minutes": (
        [
            shown(0, "p"),
            clicked(1, "p"),
            told(5, "p", order_id="o-1"),
            bought(6, "p", properties={"order_id": "o-2"}),
        ],
        (1, 1, 2, 1),
    ),
    "a purchase that only rec_purchased tells": (
        [shown(0, "p"), clicked(1, "p"), told(5, "p")],
        (1, 1, 1, 1),
    ),
    "rec_purchased of a list never shown": ([told(5, "p", "never")], (0, 0, 0, 0)),
    "a refund": (
        [
            shown(0, "p"),
            clicked(1, "p"),
            bought(5, "p"),
            event("refund", 9, product_id="p", value=9.5),
        ],
        (1, 1, 1, 1),
    ),
    "events of nobody": (
        [
            {**shown(0, "p"), "user_id": None},
            {**clicked(1, "p"), "user_id": None},
            {**bought(2, "p"), "user_id": None},
        ],
        (1, 0, 0, 0),
    ),
    "bots": (
        [
            shown(0, "p", excluded="bot"),
            clicked(1, "p"),
            shown(2, "q"),
            clicked(3, "q", excluded="bot"),
        ],
        (1, 0, 0, 0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_credit(engine: Engine, redis_client: redis.Redis, case: str) -> None:
    events, expected = CASES[case]

    assert counted(engine, *events)[:4] == expected
    check(engine, redis_client)


def test_the_last_click_wins_whenever_it_arrives(engine: Engine) -> None:
    store_events(engine, shown(0, "p"), clicked(1, "p"), bought(5000, "p"))
    aggregate(engine)
    assert versions(engine) == {17: (1, 1, 1)}

    store_events(engine, shown(4000, "p", list_id=OTHER), clicked(4001, "p", OTHER))

    assert versions(engine) == {17: (1, 1, 0), 18: (1, 1, 1)}
    aggregate(engine)
    assert report(engine).source == "aggregates"
    assert versions(engine) == {17: (1, 1, 0), 18: (1, 1, 1)}


def versions(engine: Engine) -> dict[int | None, tuple[int, int, int]]:
    """Give what was shown, clicked and purchased of each version."""
    return {
        row.model_version: (row.shown, row.clicked, row.purchased)
        for row in report(engine).by("model_version")
    }


def test_credit_reaches_over_midnight_in_both_directions(
    engine: Engine, redis_client: redis.Redis
) -> None:
    last = 10 + 7 * 1440 - 0.1
    store_events(engine, shown(1, "p"), clicked(2, "p"), bought(20, "p"), bought(last, "p"))
    store_events(engine, clicked(10, "p", OTHER))
    aggregate(engine)
    assert versions(engine) == {17: (1, 1, 1)}

    store_events(engine, shown(-5, "p", list_id=OTHER))

    for _ in range(2):
        assert versions(engine) == {17: (1, 1, 0), 18: (1, 1, 2)}
        aggregate(engine)
    check(engine, redis_client)
    store_events(engine, bought(last, "p", message_id="another"))
    aggregate(engine)
    assert versions(engine) == {17: (1, 1, 0), 18: (1, 1, 3)}


def test_a_purchase_counts_on_the_day_of_the_list(
    engine: Engine, redis_client: redis.Redis
) -> None:
    store_events(engine, shown(0, "p"), clicked(1, "p"))
    aggregate(engine)
    store_events(engine, bought(3 * 1440, "p", 12.25))
    day = datetime.fromtimestamp(event("x", 0)["occurred_at"] / 1000, UTC).date()

    for _ in range(2):
        with transaction(engine) as session:
            found = read_recommendations(session, day, day, zone="UTC")
            after = read_recommendations(
                session, day + timedelta(days=1), day + timedelta(days=5), zone="UTC"
            )
        assert (found.total.purchased, found.total.revenue) == (1, Decimal("12.25"))
        assert after.total.purchased == 0
        aggregate(engine)
    check(engine, redis_client)


def test_somebody_who_logs_in_is_the_same_person(engine: Engine, redis_client: redis.Redis) -> None:
    events = [shown(0, "p", by="a1"), clicked(1, "p", by="a1"), bought(60, "p", by="u")]
    assert counted(engine, *events)[:4] == (1, 1, 0, 0)

    with transaction(engine) as session:
        link(session, "a1", "u")
    aggregate(engine)

    assert figures(engine)[:4] == (1, 1, 1, 1)
    check(engine, redis_client)


def test_a_purge_and_an_erasure_keep_what_is_counted(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    mine = [shown(0, "p"), clicked(1, "p"), bought(1440, "p")]
    others = [shown(0, "p", by="v"), clicked(1, "p", by="v"), bought(7 * 1440, "p", by="v")]
    assert counted(engine, *mine, *others)[:4] == (2, 2, 2, 2)

    salts = Salts.of(settings.secret_key)
    with transaction(engine) as session:
        erasure = request_erasure(session, salts, Person(user_id="u"), now=NOW).erasure_id
    erase(
        engine, redis_client, erasure, secret_key=settings.secret_key, zone="UTC", clock=lambda: NOW
    )
    aggregate(engine)
    assert figures(engine)[:4] == (1, 1, 1, 1)
    check(engine, redis_client)

    purge(engine, days=16, zone="UTC", now=NOW, by_type={"purchase": 10})
    aggregate(engine)
    assert figures(engine)[:4] == (1, 1, 1, 1)
    check(engine, redis_client)


def test_a_purge_of_one_type_leaves_credit_of_open_days_before_it(
    engine: Engine, redis_client: redis.Redis
) -> None:
    store_events(engine, shown(0, "p"), clicked(1, "p"), bought(5 * 1440, "p"))

    purge(engine, days=None, zone="UTC", now=NOW, by_type={"purchase": 10})

    assert figures(engine)[:4] == (1, 1, 1, 1)
    check(engine, redis_client)
    with transaction(engine) as session:
        link(session, "a9", "u")
    store_events(engine, event("search", 20 * 1440))
    aggregate(engine)
    assert figures(engine)[:4] == (1, 1, 1, 1)
    check(engine, redis_client)


def test_days_that_wait_far_apart_are_counted_each(engine: Engine) -> None:
    told_days = [
        event_
        for n, minute in enumerate((0, 15 * 1440, 19 * 1440))
        for event_ in (shown(minute, "p"), clicked(minute + 1, "p"), bought(minute + 2 + n, "p"))
    ]

    assert counted(engine, *told_days)[:4] == (3, 3, 3, 3)


def test_events_without_a_list_count_as_they_say(engine: Engine) -> None:
    at_home = {"placement": "home", "position": 2}
    found = counted(
        engine,
        event("rec_clicked", 0, product_id="p", properties=at_home),
        event("rec_purchased", 1, product_id="p", value=3, properties=at_home),
        event("rec_shown", 2, product_id="p", properties={"recommendation_id": [LIST]}),
    )

    assert found == (0, 0, 0, 0, Decimal(0))
    assert report(engine).total.unlisted == Unlisted(1, 1, 1, Decimal(3))
    assert [row.rung for row in report(engine).by("rung")] == ["unlisted"]


def test_clicks_without_a_list_are_in_no_rate_of_lists(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    nameless = [event("rec_clicked", n, product_id="p", properties={}) for n in range(3)]
    foreign = [shown(0, "p", list_id="theirs"), clicked(1, "p", "theirs")]
    store_events(engine, shown(0, "p", "q", "r"), clicked(10, "q"), *foreign, *nameless)

    for _ in range(2):
        answer = body(client.get(f"{PATH}?date_from=2026-02-01", headers=admin))

        total = answer["total"]
        assert (total["shown"], total["clicked"]) == (4, 2)
        assert total["click_through_rate"]["value"] == 0.5
        assert (total["unlisted"]["shown"], total["unlisted"]["clicked"]) == (0, 3)
        assert total["unlisted"]["click_through_rate"]["value"] is None
        rungs = {row["rung"]: row for row in answer["by_rung"]}
        assert {name: (row["shown"], row["clicked"]) for name, row in rungs.items()} == {
            "person": (2, 1), "trending": (1, 0), "unknown": (1, 1), "unlisted": (0, 0),
        }  # fmt: skip
        assert rungs["unlisted"]["unlisted"] == total["unlisted"]
        assert rungs["unknown"]["unlisted"]["clicked"] == 0
        aggregate(engine)


def native(name: str, properties: dict[str, Any], _: str) -> tuple[str, dict[str, Any]]:
    known: dict[str, Any] = {
        name: properties.pop(name) for name in ("product_id", "items") if name in properties
    }
    return "/api/v1/analytics/events/", {
        "event_type": name, "user_id": "u", "properties": properties, **known,
    }  # fmt: skip


def tracker(name: str, properties: dict[str, Any], _: str) -> tuple[str, dict[str, Any]]:
    return "/mr/in", {"events": [{"event_type": name, "anonymous_id": "a", **properties}]}


def segment(name: str, properties: dict[str, Any], _: str) -> tuple[str, dict[str, Any]]:
    return "/v1/track", {"type": "track", "event": name, "userId": "u", "properties": properties}


def posthog(name: str, properties: dict[str, Any], key: str) -> tuple[str, dict[str, Any]]:
    return "/capture/", {
        "api_key": key, "event": name, "properties": {**properties, "distinct_id": "u"},
    }  # fmt: skip


@pytest.mark.parametrize("door", [native, tracker, segment, posthog])
@pytest.mark.parametrize("name", ["recommendation_id", "recommendationId"])
def test_the_id_of_a_list_comes_in_at_every_door(
    app_with: Callable[..., FlaskClient],
    engine: Engine,
    drainer: Drainer,
    write_key: str,
    door: Any,
    name: str,
) -> None:
    items = [{"product_id": "p", "position": 1}, {"product_id": "q", "position": 2}]
    told: list[tuple[str, dict[str, Any]]] = [
        ("rec_shown", {"items": items, "placement": "home"}),
        ("rec_clicked", {"product_id": "q"}),
    ]
    for minute, (kind, fields) in enumerate(told):
        path, document = door(kind, {**fields, name: LIST}, write_key)
        client = app_with(clock=lambda at=NOW_MS / 1000 + 60 * minute: at)
        assert client.post(path, json=document).status_code in (200, 201)
    drainer.drain()

    found = report(engine)
    assert (found.total.lists, found.total.shown, found.total.clicked) == (1, 2, 1)
    place = next(row for row in found.by("placement", "position") if row.clicked)
    assert (place.placement, place.position) == ("home", 2)
    assert [row.model_version for row in found.by("model_version")] == [17]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("group_by=placement,position,rung,model_version", 200),
        ("group_by=rung,rung", 200),
        ("group_by=", 422),
        ("group_by=version", 422),
        ("group_by=rung;DROP TABLE events", 422),
        ("group_by=%ff%00", 400),
        ("group_by=rung&traffic=all&date_from=2026-02-20", 200),
        ("date_from=1970-01-05&date_to=1970-01-06", 200),
        ("date_from=9998-12-31&date_to=9999-01-01", 200),
    ],
)
def test_any_grouping_gets_an_answer(
    client: FlaskClient, engine: Engine, admin: Headers, query: str, status: int
) -> None:
    hostile: list[Any] = [None, "", 5, 1e300, [], {}, "x" * 900, LIST + "\n", "\ud7ff", "r1..."]
    store_events(
        engine,
        *[
            event(kind, n, product_id="p", properties={"recommendation_id": found, "position": 1})
            for n, found in enumerate(hostile)
            for kind in ("rec_shown", "rec_clicked", "rec_purchased", "purchase")
        ],
    )

    answer = client.get(f"{PATH}?{query}", headers=admin)

    assert answer.status_code == status, answer.text


def test_the_database_reads_ids_as_python_does(session: Session) -> None:
    drawn = random.Random(5)
    ids = [
        make_recommendation_id(
            drawn.choice([None, 1, 17, 999_999_999]),
            drawn.choices([*LETTERS, "moon"], k=drawn.choice([0, 1, 7, 100])),
            at=NOW,
        )
        for _ in range(50)
    ]
    hostile = [
        "", "r1", LIST + "\n", LIST.upper(), LIST + "0", LIST.replace("17", "017"),
        LIST.replace("17", "9999999999"), LIST.replace("ppt", "zzz"), LIST.replace("ppt", "p3"),
        LIST.replace("17", "\u0661\u0667"), LIST.replace(".", "x"), "r1." * 99,
    ]  # fmt: skip
    asked = [(text_, place) for text_ in [*ids, *hostile] for place in (0, 1, 2, 7, 100, 1000)]

    rows = session.execute(
        text(
            f"SELECT {version_sql('id')}, {rung_sql(rungs_sql('id'), 'place')} FROM unnest("
            "CAST(:ids AS text[]), CAST(:places AS int[])) WITH ORDINALITY AS asked(id, place, n) "
            "ORDER BY n"
        ),
        {"ids": [text_ for text_, _ in asked], "places": [place for _, place in asked]},
    ).all()

    expected = []
    for text_, place in asked:
        found = read_recommendation_id(text_)
        expected.append((found.version or 0, found.rung(place)) if found else (0, "unknown"))
    assert [tuple(row) for row in rows] == expected


_clicks = st.sampled_from([-1, 2, 2, 29.5, 30.5])
_orders = st.tuples(
    st.sampled_from(["purchase", "purchase", "rec_purchased"]),
    st.sampled_from([1, 8, 9, 40, 700, 8000, 7 * 1440 + 1, 7 * 1440 + 29.4, 7 * 1440 + 31]),
    st.sampled_from([None, "o-1", "o-2"]),
)
#: Who, on which list, which product, when it is shown; then when clicked, how and when bought.
_stories = st.tuples(
    st.sampled_from("uuv"),
    st.sampled_from([LIST, OTHER]),
    st.sampled_from("ppq"),
    st.sampled_from([-20, -3, 0, 5, 1430, 5000]),
    st.lists(_clicks, min_size=1, max_size=3),
    st.lists(_orders, max_size=3),
)
_HALF_HOUR, _WEEK, _HALF_DAY, _TEN = (n * MINUTE_MS for n in (30, 7 * 1440, 720, 10))
Rows = dict[tuple[Any, ...], tuple[Any, ...]]


def tell(stories: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Make the events of some stories, no two of them at the same time."""
    steps: list[tuple[str, float, str, dict[str, Any], dict[str, Any]]] = []
    for person, list_id, product, start, clicks, orders in stories:
        listed = {"recommendation_id": list_id, "order_id": None}
        names = ("p", "q") if product == "p" else ("q",)
        items = [{"product_id": name, "position": n} for n, name in enumerate(names, start=1)]
        placed = {**listed, "placement": f"from {start}"}
        steps.append(("rec_shown", start, person, placed, {"items": items}))
        one = {"product_id": product}
        steps += [("rec_clicked", start + after, person, listed, one) for after in clicks]
        for kind, after, order_id in orders:
            steps.append((kind, start + after, person, {**listed, "order_id": order_id}, one))
    events = []
    for number, (kind, minute, person, properties, fields) in enumerate(steps):
        found = event(kind, minute, by=person, message_id=f"m{number}", properties=properties)
        at = found["occurred_at"] + number
        events.append({**found, "occurred_at": at, "value": number, **fields})
    return events


def expect(events: Iterable[dict[str, Any]]) -> Rows:
    """Count by the rules, event by event."""
    rows: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    showings: dict[tuple[str, ...], list[int]] = defaultdict(list)
    first: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    clicks: dict[tuple[str, str], list[tuple[int, tuple[Any, ...]]]] = defaultdict(list)
    earned: Counter[tuple[Any, ...]] = Counter()
    lines = sorted(
        (
            (e["occurred_at"], e["event_type"], e["user_id"], item["product_id"], n, e)
            for e in events
            for n, item in enumerate(e.get("items") or [e], start=1)
        ),
        key=lambda line: (line[0], line[4]),
    )
    for at, kind, person, product, position, e in lines:
        list_id, order = e["properties"]["recommendation_id"], e["properties"]["order_id"]
        day = datetime.fromtimestamp(at / 1000, UTC).date()
        if kind == "rec_shown":
            showings[list_id, person, product].append(at)
            found = read_recommendation_id(list_id)
            assert found is not None
            place = (
                day,
                e["properties"]["placement"],
                position,
                found.rung(position),
                found.version,
            )
            if (day, list_id, person, product) not in first:
                first[day, list_id, person, product] = place
                rows[place][0] += 1
        elif kind == "rec_clicked":
            seen = [t for t in showings[list_id, person, product] if at - t <= _HALF_HOUR]
            if seen:
                day = datetime.fromtimestamp(seen[-1] / 1000, UTC).date()
                key = (day, list_id, person, product)
                rows[first[key]][1] += key not in earned
                earned[key] += 0
                clicks[person, product].append((at, key))
        elif kind == "rec_purchased" and any(
            other[1:4] == ("purchase", person, product)
            and (
                abs(other[0] - at) <= _HALF_DAY
                if order and other[5]["properties"]["order_id"] == order
                else abs(other[0] - at) <= _TEN
                and not (order and other[5]["properties"]["order_id"])
            )
            for other in lines
        ):
            continue
        elif clicks[person, product] and at - clicks[person, product][-1][0] <= _WEEK:
            key = clicks[person, product][-1][1]
            rows[first[key]][2] += 1
            rows[first[key]][3] += earned[key] == 0
            rows[first[key]][4] += e["value"]
            earned[key] += 1
    return {place: tuple(row) for place, row in rows.items()}


def stored_rows(engine: Engine) -> Rows:
    place = "day, placement, position, rung, model_version"
    with transaction(engine) as session:
        return {
            tuple(row[:5]): tuple(row[5:])
            for row in session.execute(
                text(
                    f"SELECT {place}, shown, coalesce(clicked, 0), coalesce(purchased, 0), "
                    "coalesce(converted, 0), coalesce(revenue, 0) FROM daily_recommendations "
                    f"FULL JOIN daily_recommendation_credit USING ({place})"
                )
            )
        }


@hypothesis_settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(
    stories=st.lists(_stories, min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
    cuts=st.sets(st.integers(1, 40), max_size=2),
)
def test_any_order_and_repetition_gives_the_credit_of_the_rules(
    engine: Engine,
    redis_client: redis.Redis,
    stories: list[Any],
    order: random.Random,
    cuts: set[int],
) -> None:
    empty(engine)
    events = tell(stories)
    arriving = events * 2
    order.shuffle(arriving)

    bounds = [0, *sorted(cut for cut in cuts if cut < len(arriving)), len(arriving)]
    for low, high in pairwise(bounds):
        store_events(engine, *arriving[low:high])
        total = report(engine).total
        aggregate(engine)
        assert report(engine).total == total

    assert stored_rows(engine) == expect(events)
    check(engine, redis_client)
