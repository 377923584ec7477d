"""Identities: an anonymous id becomes a user, once, and its days are counted again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from models.daily_aggregates import DailyTotal
from models.database import transaction
from models.dirty_days import read_dirty_days
from models.histories import read_histories
from models.identities import DirtyIdentity, IdentityLink, mark_relinked_days
from models.invariants import check_invariants
from models.person import Person
from tasks.aggregate import aggregate_dirty
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, body, store_events

URL = "/api/identities/"


def links(engine: Engine) -> dict[str, str]:
    with transaction(engine) as session:
        return {item.anonymous_id: item.user_id for item in session.scalars(select(IdentityLink))}


def view(anonymous_id: str, *, days_ago: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "product_view",
        "product_id": "p1",
        "anonymous_id": anonymous_id,
        "occurred_at": NOW_MS - days_ago * DAY_MS,
        **fields,
    }


def identify(anonymous_id: str, user_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "identify",
        "anonymous_id": anonymous_id,
        "user_id": user_id,
        "occurred_at": NOW_MS,
        **fields,
    }


@pytest.mark.parametrize("kind", ["identify", "login", "register", "signed_in"])
def test_an_event_with_both_ids_links_them(engine: Engine, kind: str) -> None:
    store_events(engine, identify("a1", "u1", event_type=kind))

    assert links(engine) == {"a1": "u1"}


@pytest.mark.parametrize(
    "event",
    [
        view("a1", user_id="u1"),
        {"event_type": "login", "user_id": "u1"},
        {"event_type": "login", "anonymous_id": "a1"},
        {"event_type": "search", "properties": {"q": "login"}, "user_id": "u", "anonymous_id": "a"},
    ],
)
def test_other_events_link_nothing(engine: Engine, event: dict[str, Any]) -> None:
    store_events(engine, event)

    assert links(engine) == {}


def test_the_first_user_of_a_device_keeps_it(engine: Engine) -> None:
    store_events(
        engine,
        identify("a1", "second"),
        identify("a1", "first", occurred_at=NOW_MS - 1000),
        identify("a2", "first"),
    )
    store_events(engine, identify("a1", "third"))

    assert links(engine) == {"a1": "first", "a2": "first"}


def test_a_new_link_marks_the_days_on_which_the_device_was_seen(engine: Engine) -> None:
    store_events(
        engine, view("a1", days_ago=3), view("a2", days_ago=5), view("a1", days_ago=7, user_id="x")
    )
    aggregate_dirty(engine, zone="UTC", now=NOW)

    store_events(engine, identify("a1", "u1"))
    with transaction(engine) as session:
        assert mark_relinked_days(session, zone="UTC") == 1

    with transaction(engine) as session:
        marked = {(TODAY - day).days for day in read_dirty_days(session)}
        assert session.scalars(select(DirtyIdentity)).all() == []
    assert marked == {0, 3}


def test_a_link_that_is_known_already_marks_nothing(engine: Engine) -> None:
    store_events(engine, view("a1", days_ago=3), identify("a1", "u1", message_id="m"))
    aggregate_dirty(engine, zone="UTC", now=NOW)

    store_events(engine, identify("a1", "u1", message_id="m"), identify("a1", "u1"))

    with transaction(engine) as session:
        assert session.scalars(select(DirtyIdentity)).all() == []


def test_an_event_delivered_again_does_not_link_what_was_undone(
    engine: Engine, client: FlaskClient, admin: dict[str, str]
) -> None:
    event = identify("a/1", "u1", message_id="m")
    store_events(engine, event)

    undone = client.delete(f"{URL}a/1", headers=admin)
    store_events(engine, event)

    assert (undone.status_code, body(undone)["user_id"]) == (200, "u1")
    assert links(engine) == {}
    assert client.delete(f"{URL}a/1", headers=admin).status_code == 404


def test_workers_that_link_the_same_devices_do_not_block_each_other(engine: Engine) -> None:
    devices = [f"a{n}" for n in range(40)]

    def work(number: int) -> None:
        order = devices if number % 2 else devices[::-1]
        for start in range(0, 40, 8):
            store_events(
                engine,
                *(identify(item, f"u{number}", product_id=item) for item in order[start:][:8]),
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))

    assert set(links(engine)) == set(devices)


def test_links_are_made_read_and_undone_by_hand(
    engine: Engine, client: FlaskClient, admin: dict[str, str]
) -> None:
    store_events(engine, view("a1", days_ago=3))
    aggregate_dirty(engine, zone="UTC", now=NOW)

    made = client.post(URL, json={"anonymous_id": "a1", "user_id": "u1"}, headers=admin)
    again = client.post(URL, json={"anonymous_id": "a1", "user_id": "u1"}, headers=admin)
    other = client.post(URL, json={"anonymous_id": "a1", "user_id": "u2"}, headers=admin)

    assert [answer.status_code for answer in (made, again, other)] == [200, 200, 409]
    assert body(other)["code"] == "linked_already"
    assert body(client.get(URL, headers=admin))["identities"][0]["user_id"] == "u1"
    assert aggregate_dirty(engine, zone="UTC", now=NOW).days == 1
    client.delete(f"{URL}a1", headers=admin)
    assert aggregate_dirty(engine, zone="UTC", now=NOW).days == 1


def test_a_person_is_counted_once_from_the_link_on_and_twice_when_it_is_undone(
    engine: Engine, redis_client: redis.Redis, client: FlaskClient, admin: dict[str, str]
) -> None:
    def people() -> tuple[int, int]:
        aggregate_dirty(engine, zone="UTC", now=NOW)
        with transaction(engine) as session:
            total = session.get_one(DailyTotal, TODAY)
            return total.unique_users, total.unique_anonymous

    def agrees() -> bool:
        found = check_invariants(engine, redis_client, zone="UTC")
        return all(item.ok for item in found)

    store_events(engine, view("a1"), view("a2"), {"event_type": "search", "user_id": "u1"})
    before = people()
    store_events(engine, identify("a1", "u1"))
    assert agrees()
    linked = people()
    client.delete(f"{URL}a1", headers=admin)
    assert agrees()
    undone = people()

    assert (before, linked, undone) == ((1, 2), (1, 1), (1, 2))
    assert agrees()


@pytest.mark.parametrize("placeholder", ["null", " Undefined ", "0", "[object Object]", "", None])
def test_a_placeholder_is_not_linked_by_hand(
    client: FlaskClient, admin: dict[str, str], placeholder: str | None
) -> None:
    for sent in (
        {"anonymous_id": placeholder, "user_id": "u1"},
        {"anonymous_id": "a1", "user_id": placeholder},
    ):
        answer = client.post(URL, json=sent, headers=admin)
        assert (answer.status_code, body(answer)["code"]) == (422, "invalid")


def test_links_are_listed_page_by_page(
    engine: Engine, client: FlaskClient, admin: dict[str, str]
) -> None:
    store_events(engine, *(identify(f"a{n:02}", f"u{n % 2}") for n in range(9)))

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"user_id": "u0", "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = body(client.get(URL, query_string=query, headers=admin))
        seen += [item["anonymous_id"] for item in page["identities"]]
        cursor = page["next_cursor"]

    assert seen == ["a00", "a02", "a04", "a06", "a08"]
    one = body(client.get(URL, query_string={"anonymous_id": "a03"}, headers=admin))
    assert [item["user_id"] for item in one["identities"]] == ["u1"]
    assert client.get(URL, query_string={"cursor": "x"}, headers=admin).status_code == 400


def test_a_user_is_shown_what_fits_what_they_did_before_they_logged_in(
    engine: Engine, session: Session
) -> None:
    store_events(
        engine,
        view("a1", product_id="before"),
        view("a1", product_id="of another", user_id="u2"),
        view("a2", product_id="of a stranger"),
        identify("a1", "u1"),
        {"event_type": "product_view", "product_id": "after", "user_id": "u1"},
    )

    person = Person("u1").with_linked(session)
    lines = read_histories(session.connection(), {0: person}, now=NOW)[0]

    assert {line.product_id for line in lines} == {"before", "after"}
