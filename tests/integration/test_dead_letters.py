"""Dead letters: found, read, edited, replayed exactly once, given up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.orm import Session

import inbox
from event_ids import uuid8
from event_lines import as_json
from fail_points import arm
from intake.letters import LetterRules
from models.database import transaction
from models.dead_letter_list import discard_letters
from models.dead_letters import DeadLetter, Refusal, insert_dead_letters
from models.erasures import request_erasure
from models.events import Event
from models.holdings import count_held
from models.invariants import check_invariants
from models.letter_edit import Installation
from models.person import Person
from models.product_metrics import ProductMetrics
from models.replay import Replayed, replay_letters
from models.suppressions import OPT_OUT, Salts, suppress
from settings import Settings
from tasks.aggregate import aggregate_dirty
from tasks.erase import erase
from tasks.ingest import Drainer
from tasks.reconcile import reconcile
from tasks.retention import purge
from tests.builders import (
    DAY_MS,
    NOW,
    NOW_MS,
    RULES,
    TODAY,
    body_of,
    crafted,
    store,
    store_events,
    uuid7_at,
)
from tests.integration.test_door import check_problem

URL = "/api/dead-letters"
BROKEN = {"event_id": uuid7_at(NOW_MS), "quantity": 2**31, "product_id": "lamp", "user_id": "ann"}
ID = str(BROKEN["event_id"])
NAMELESS = {"type": "track", "messageId": "m2", "userId": "ann", "properties": {"product_id": "p"}}


@pytest.fixture
def dead(engine: Engine) -> str:
    """Let the database refuse an event; give the letter's id."""
    assert store(engine, crafted(BROKEN)).dead == 1
    return ID


@pytest.fixture
def ask(client: FlaskClient, admin: dict[str, str]) -> Callable[..., Any]:
    """Give a function that asks the API; gives the JSON of its answer."""

    def call(method: str, path: str = "", *, status: int = 200, **options: Any) -> Any:
        answer = client.open(URL + path, method=method, headers=admin, **options)
        assert answer.status_code == status, answer.text
        return answer.json

    return call


def rejected(client: FlaskClient, drainer: Drainer, *messages: Any, path: str = "/v1/batch") -> str:
    """Let Segment's door reject messages; give the id of the first letter."""
    whole: Any = {"batch": list(messages)} if path == "/v1/batch" else messages[0]
    assert client.post(path, data=orjson.dumps(whole)).status_code == 200
    assert drainer.drain().quarantined == len(messages)
    with Session(drainer.engine) as session:
        return str(session.scalars(select(DeadLetter.event_id)).first())


def keep(engine: Engine, *refusals: Refusal) -> None:
    with transaction(engine) as session:
        insert_dead_letters(session, refusals)


def letter_of(text_: str, number: int = 1) -> Refusal:
    return Refusal(uuid8(0, f"letter {number}"), "refused", "22003: no", text_)


def counts_of(engine: Engine) -> tuple[int, int, int]:
    """Count events, views of the lamp, and letters."""
    with Session(engine) as session:
        events = session.scalar(select(func.count()).select_from(Event)) or 0
        views = session.scalar(
            select(ProductMetrics.total_views).where(ProductMetrics.product_id == "lamp")
        )
        letters = session.scalar(select(func.count()).select_from(DeadLetter)) or 0
        return events, views or 0, letters


def all_agrees(engine: Engine, client: redis.Redis) -> None:
    aggregate_dirty(engine, zone="UTC", now=NOW)
    assert [item for item in check_invariants(engine, client, zone="UTC") if not item.ok] == []


def mended(ask: Callable[..., Any], letter: str = ID) -> None:
    ask("PATCH", f"/{letter}", json={"event": {"quantity": 3}})


def here(settings: Settings) -> Installation:
    return Installation(LetterRules(RULES, RULES), zone="UTC", secret_key=settings.secret_key)


def test_an_edited_letter_is_stored_once_under_its_id_and_is_no_letter_any_more(
    ask: Callable[..., Any], dead: str, engine: Engine, redis_client: redis.Redis, session: Session
) -> None:
    edited = ask("PATCH", f"/{dead}", json={"event": {"quantity": 3, "colour": "red"}})

    answer = ask("POST", f"/{dead}/replay")

    assert (edited["event"]["quantity"], edited["original"]["quantity"]) == (3, 2**31)
    assert edited["event"]["properties"] == {"colour": "red"}
    assert (answer["stored"], answer["dead"]) == (1, 0)
    event = session.scalars(select(Event)).one()
    assert (str(event.event_id), event.quantity, event.user_id) == (dead, 3, "ann")
    assert counts_of(engine) == (1, 1, 0)
    ask("POST", f"/{dead}/replay", status=404)
    all_agrees(engine, redis_client)


def test_a_letter_that_fails_again_stays_with_the_new_reason(
    ask: Callable[..., Any], dead: str, session: Session
) -> None:
    answer = ask("POST", "/replay", json={"event_ids": [dead, uuid7_at(NOW_MS, 5)]})

    assert (answer["dead"], answer["stored"], answer["missing"]) == (1, 0, 1)
    letter = session.scalars(select(DeadLetter)).one()
    assert (letter.reason, letter.tries, letter.discarded_at) == ("refused", 1, None)


def test_of_many_the_good_ones_are_stored_and_the_bad_ones_stay(
    ask: Callable[..., Any], engine: Engine
) -> None:
    good = [
        as_json(
            body_of({"event_type": "view", "product_id": "lamp", "event_id": uuid7_at(NOW_MS, n)})
        )
        for n in range(2, 7)
    ]
    ids = [orjson.loads(body)["events"][0]["event_id"] for body in good]
    keep(engine, *(Refusal(id_, "refused", "", body.decode()) for id_, body in
                   zip(ids, good, strict=True)))  # fmt: skip
    store(engine, crafted(BROKEN))

    first = ask("POST", "/replay", json={"reason": "refused", "limit": 4})
    rest = ask("POST", "/replay", json={"reason": "refused", "cursor": first["next_cursor"]})

    assert first["stored"] + rest["stored"] == 5
    assert first["dead"] + rest["dead"] == 1
    assert rest["next_cursor"] is None
    assert counts_of(engine) == (5, 5, 1)


def test_a_letter_of_a_stored_event_is_a_duplicate(
    ask: Callable[..., Any], dead: str, engine: Engine
) -> None:
    mended(ask)
    store_events(engine, {"event_type": "view", "event_id": dead, "product_id": "lamp"})

    assert ask("POST", f"/{dead}/replay")["duplicate"] == 1
    assert counts_of(engine) == (1, 1, 0)


def test_two_replays_and_a_clients_retry_at_once_store_it_once(
    ask: Callable[..., Any], dead: str, engine: Engine, settings: Settings,
    redis_client: redis.Redis,
) -> None:  # fmt: skip
    mended(ask)

    def again(number: int) -> Replayed | None:
        if number % 2:
            store(engine, crafted(BROKEN))
            return None
        return replay_letters(engine, [UUID(dead)], here=here(settings), now=NOW)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(again, range(6)))

    done = [item for item in results if item is not None]
    assert sum(item.stored for item in done) == 1
    assert sum(item.missing for item in done) == 2
    assert counts_of(engine) == (1, 1, 0)
    all_agrees(engine, redis_client)


@pytest.mark.parametrize("point", ["replay.stored", "replay.before_commit", "replay.committed"])
def test_a_replay_that_fails_at_any_moment_leaves_the_letter_or_the_event(
    ask: Callable[..., Any], dead: str, engine: Engine, settings: Settings, tmp_path: Path,
    redis_client: redis.Redis, point: str,
) -> None:  # fmt: skip
    mended(ask)
    script = (
        "import sys; from datetime import UTC, datetime; from uuid import UUID\n"
        "from fail_points import enable\n"
        "from models.database import make_engine\n"
        "from models.letter_edit import Installation; from models.replay import replay_letters\n"
        "from intake.letters import LetterRules; from tests.builders import RULES\n"
        "enable(sys.argv[4])\n"
        "replay_letters(make_engine(sys.argv[1], application='crash'), [UUID(sys.argv[2])],\n"
        "    here=Installation(LetterRules(RULES, RULES), 'UTC', sys.argv[3]),\n"
        "    now=datetime.now(UTC))\n"
    )
    arm(tmp_path, point, "kill")
    given = [settings.sqlalchemy_url, dead, settings.secret_key, str(tmp_path)]

    killed = subprocess.run([sys.executable, "-c", script, *given], check=False)
    between = counts_of(engine)
    again = replay_letters(engine, [UUID(dead)], here=here(settings), now=NOW)

    assert killed.returncode == -9
    was_committed = point == "replay.committed"
    assert between == ((1, 1, 0) if was_committed else (0, 0, 1))
    assert (again.stored, again.missing) == ((0, 1) if was_committed else (1, 0))
    assert counts_of(engine) == (1, 1, 0)
    all_agrees(engine, redis_client)


def test_discards_and_replays_at_once_leave_one_outcome(
    ask: Callable[..., Any], dead: str, engine: Engine, settings: Settings, session: Session
) -> None:
    mended(ask)

    def either(number: int) -> int:
        if number % 2:
            return replay_letters(engine, [UUID(dead)], here=here(settings), now=NOW).stored
        with transaction(engine) as own:
            return discard_letters(own, [UUID(dead)], by="test", now=NOW)

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(either, range(4)))

    assert sum(outcomes) == 1
    events, _, letters = counts_of(engine)
    assert events + letters == 1


def test_a_discarded_letter_is_kept_with_who_and_when_and_can_be_replayed_by_its_state(
    ask: Callable[..., Any], dead: str
) -> None:
    mended(ask)
    assert ask("DELETE", f"/{dead}")["discarded"] == 1
    ask("DELETE", f"/{dead}", status=404)
    ask("PATCH", f"/{dead}", status=404, json={"event": {"quantity": 1}})

    (letter,) = ask("GET", "?state=discarded")["dead_letters"]
    missing = ask("POST", "/replay", json={"event_ids": [dead]})
    stored = ask("POST", "/replay", json={"event_ids": [dead], "state": "discarded"})

    assert ask("GET", "")["dead_letters"] == []
    assert letter["discarded_by"]
    assert letter["discarded_at"].startswith("2026-03-15T12:00")
    assert (missing["missing"], stored["stored"]) == (1, 1)


EDITS: dict[str, tuple[dict[str, Any], str]] = {
    "another id": ({"event_id": uuid7_at(NOW_MS, 2)}, "event_id"),
    "a wrong type": ({"quantity": "many"}, "quantity"),
    "too large a number": ({"value": 1e300}, "value"),
    "no type": ({"event_type": None}, "event_type"),
    "NUL": ({"user_id": "a\0b"}, "user_id"),
    "half an emoji": ({"user_id": "\ud800"}, "event"),
    "a list as properties": ({"properties": [1]}, "properties"),
    "a year without end": ({"occurred_at": "9999-12-31T23:59:59Z"}, "event"),
    "another day": ({"occurred_at": "2026-03-10T12:00:00Z"}, "occurred_at"),
    "too large an event": ({"properties": {"a": "x" * 60_000}}, "event"),
}


@pytest.mark.parametrize(("patch", "field"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_that_the_door_would_not_accept_is_refused_field_by_field(
    ask: Callable[..., Any], dead: str, session: Session, patch: dict[str, Any], field: str
) -> None:
    problem = ask(
        "PATCH", f"/{dead}", status=422, data=json.dumps({"event": {"quantity": 1, **patch}}),
        content_type="application/json",
    )  # fmt: skip

    assert problem["code"] == "invalid"
    assert list(problem["errors"]["json"]) == [field]
    letter = session.scalars(select(DeadLetter)).one()
    assert (letter.original, letter.edited_at) == (None, None)


def test_an_edit_leaves_the_time_that_was_corrected_as_it_is(
    ask: Callable[..., Any], engine: Engine
) -> None:
    batch = orjson.loads(crafted({**BROKEN, "original_at": "2026-03-15T11:00:00.000Z"}))
    store(engine, orjson.dumps({**batch, "sent_at": "2026-03-15T11:00:00Z"}))

    event = ask("PATCH", f"/{ID}", json={"event": {"quantity": 3}})["event"]

    assert event["occurred_at"] == "2026-03-15T12:00:00.000Z"
    assert event["original_at"] == "2026-03-15T11:00:00.000Z"


@pytest.mark.parametrize("event", [None, [], {}, "text", 5])
def test_a_patch_that_is_no_object_with_a_field_is_refused(
    ask: Callable[..., Any], dead: str, event: Any
) -> None:
    ask("PATCH", f"/{dead}", status=422, json={"event": event})


UNREADABLE = (
    b"{broken", b"\xff\xfe", b'{"events":[{}]', b"[]", b'"\x00"', b'{"events":5}',
    b'{"lines":1,"received_at":"2026-03-15T12:00:00Z"}\n["no id"]\n',
    b'{"received_at":"2026-03-15T12:00:00Z","events":[{"a":"\\u0000"}]}',
)  # fmt: skip


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_cannot_be_read_is_shown_as_text_and_can_be_written_anew(
    ask: Callable[..., Any], drainer: Drainer, redis_client: redis.Redis, engine: Engine,
    body: bytes,
) -> None:  # fmt: skip
    inbox.put(redis_client, body, events=1, days=[TODAY])
    assert drainer.drain().dead == 1

    write_anew(ask, is_text=b"u0000" not in body)

    assert counts_of(engine) == (1, 1, 0)
    all_agrees(engine, redis_client)


HUGE = {
    "deep": '{"events":[' + "[" * 4000,
    "long": '{"events":[{"a":"' + "x" * 4_000_000,
    "of numbers without end": '{"events":[{"value":1e999999,"quantity":' + "9" * 6000 + "}]}",
    "half an emoji": '{"events":[{"user_id":"\\ud800"}]}',
}


@pytest.mark.parametrize("held", HUGE.values(), ids=HUGE.keys())
def test_a_hostile_letter_is_shown_and_mended_like_any_other(
    ask: Callable[..., Any], engine: Engine, held: str
) -> None:
    keep(engine, letter_of(held))

    write_anew(ask, is_text=True)

    assert counts_of(engine) == (1, 1, 0)


def write_anew(ask: Callable[..., Any], *, is_text: bool) -> None:
    (letter,) = ask("GET", "")["dead_letters"]
    path = f"/{letter['event_id']}"
    shown = ask("GET", path)
    assert (shown["text"] is not None) is is_text
    assert len(shown["text"] or "") <= 262_144
    assert ask("POST", f"{path}/replay")["dead"] == 1
    event = {"event_type": "product_view", "product_id": "lamp", "a": None}
    ask("PATCH", path, json={"event": event})
    assert ask("POST", f"{path}/replay")["stored"] == 1


def test_a_rejected_message_is_replayed_through_its_doors_reader(
    ask: Callable[..., Any], client: FlaskClient, drainer: Drainer, engine: Engine,
    session: Session, redis_client: redis.Redis,
) -> None:  # fmt: skip
    letter = rejected(client, drainer, NAMELESS)

    failed = ask("POST", f"/{letter}/replay")
    edited = ask("PATCH", f"/{letter}", json={"event": {"event": "Product Viewed"}})
    done = ask("POST", f"/{letter}/replay")
    client.post("/v1/batch", json={"batch": [{**NAMELESS, "event": "Product Viewed"}]})
    again = drainer.drain()

    assert (failed["dead"], done["stored"]) == (1, 1)
    assert edited["original"] == NAMELESS
    assert edited["event_type"] == "product_view"
    assert (again.stored, again.duplicate) == (0, 1)
    event = session.scalars(select(Event)).one()
    assert (event.event_type, event.user_id, event.message_id) == ("product_view", "ann", "m2")
    all_agrees(engine, redis_client)


def test_a_message_is_taken_as_the_path_says_that_it_came_in_by(
    ask: Callable[..., Any], client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    letter = rejected(client, drainer, {"userId": "ann", "messageId": "m"}, path="/mr/v1/track")

    ask("PATCH", f"/{letter}", json={"event": {"event": "Lamp Lit"}})

    assert ask("POST", f"/{letter}/replay")["stored"] == 1
    assert session.scalars(select(Event.user_id)).all() == ["ann"]


DIALECTS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "posthog": ("/batch/", {"api_key": "", "batch": [{"distinct_id": "u1", "uuid": "u"}]},
                {"event": "lamp lit"}),
    "posthog v1": ("/i/v1/analytics/events", {"batch": [{"distinct_id": "u1", "uuid": "u"}]},
                   {"event": "lamp lit"}),
    "cloudevents": ("/cloudevents", {"specversion": "1.0", "id": "1", "source": "s", "type": "",
                                     "data": {"user_id": "u1"}}, {"type": "lamp.lit"}),
}  # fmt: skip


@pytest.mark.parametrize(("path", "sent", "patch"), DIALECTS.values(), ids=DIALECTS.keys())
def test_each_dialects_letters_are_mended_in_its_own_words(
    ask: Callable[..., Any], client: FlaskClient, drainer: Drainer, write_key: str, engine: Engine,
    path: str, sent: Any, patch: dict[str, Any], redis_client: redis.Redis,
) -> None:  # fmt: skip
    kind = "application/cloudevents+json" if path == "/cloudevents" else "application/json"
    client.post(path, data=orjson.dumps(sent), content_type=kind,
                headers={"Authorization": f"Bearer {write_key}"})  # fmt: skip
    assert drainer.drain().quarantined == 1
    (letter,) = ask("GET", "")["dead_letters"]

    ask("PATCH", f"/{letter['event_id']}", json={"event": patch})

    assert ask("POST", f"/{letter['event_id']}/replay")["stored"] == 1
    all_agrees(engine, redis_client)


def test_a_message_that_its_door_takes_by_now_gets_the_id_that_a_retry_gets(
    app_with: Callable[..., FlaskClient], ask: Callable[..., Any], client: FlaskClient,
    drainer: Drainer, engine: Engine,
) -> None:  # fmt: skip
    message = {"type": "track", "event": "Odd", "userId": "ann", "messageId": "m",
               "timestamp": "2026-03-15T11:00:00Z"}  # fmt: skip
    letter = rejected(app_with(strict_types=True), drainer, message)
    ask("PATCH", f"/{letter}", json={"event": {"timestamp": "2026-03-15T11:30:00Z"}})

    stored = ask("POST", f"/{letter}/replay")["stored"]
    client.post("/v1/batch", json={"batch": [message]})

    assert stored == 1
    assert drainer.drain().duplicate == 1
    assert counts_of(engine)[0] == 1


def test_a_letter_of_a_sealed_day_stays_dead(
    ask: Callable[..., Any], engine: Engine, redis_client: redis.Redis
) -> None:
    old = NOW_MS - 40 * DAY_MS
    store_events(engine, {"event_type": "view", "occurred_at": old, "event_id": uuid7_at(old, 1)})
    purge(engine, days=30, zone="UTC", now=NOW)
    late = {"event_type": "view", "occurred_at": old, "event_id": uuid7_at(old, 2)}
    assert store_events(engine, late).dead == 1

    answer = ask("POST", "/replay", json={"reason": "sealed"})

    assert (answer["dead"], answer["stored"]) == (1, 0)
    all_agrees(engine, redis_client)


@pytest.mark.parametrize("is_message", [False, True], ids=["event", "message"])
def test_a_letter_of_a_person_who_opted_out_is_neither_shown_nor_replayed(
    ask: Callable[..., Any], client: FlaskClient, drainer: Drainer, engine: Engine,
    settings: Settings, is_message: bool,
) -> None:  # fmt: skip
    if is_message:
        hidden = {"type": "track", "event": "Odd", "properties": {"deep": {"mail": "ann"}}}
        letter = rejected(client, drainer, hidden)
    else:
        store(engine, crafted(BROKEN))
        letter = ID
        mended(ask)
    with transaction(engine) as session:
        salts = Salts.of(settings.secret_key)
        suppress(session, salts, salts.digests("ann", ()), reason=OPT_OUT)

    for method in ("GET", "PATCH"):
        options = {"json": {"event": {"quantity": 1}}} if method == "PATCH" else {}
        assert ask(method, f"/{letter}", status=409, **options)["code"] == "opted_out"
    answer = ask("POST", f"/{letter}/replay")

    assert (answer["refused"], answer["stored"]) == (1, 0)
    assert counts_of(engine)[::2] == (0, 1)
    assert ask("DELETE", f"/{letter}")["discarded"] == 1


def test_an_erasure_takes_a_letter_that_was_the_persons_before_it_was_edited(
    ask: Callable[..., Any], dead: str, engine: Engine, settings: Settings,
    redis_client: redis.Redis,
) -> None:  # fmt: skip
    ask("PATCH", f"/{dead}", json={"event": {"user_id": "ben", "quantity": 1}})
    person, key = Person("ann"), settings.secret_key
    with transaction(engine) as session:
        held = count_held(session, redis_client, person)
        request = request_erasure(session, Salts.of(key), person, now=NOW)

    refused = ask("POST", f"/{dead}/replay")
    erase(engine, redis_client, request.erasure_id, secret_key=key, zone="UTC", clock=lambda: NOW)

    assert (held["dead_letters"], refused["refused"]) == (1, 1)
    assert counts_of(engine) == (0, 0, 0)


def test_the_list_filters_and_goes_on_by_cursor(ask: Callable[..., Any], engine: Engine) -> None:
    keep(
        engine,
        *(Refusal(uuid8(0, f"a{n}"), "refused", "", '{"events":[{"event_type":"view"}]}')
          for n in range(3)),
        Refusal(uuid8(0, "b"), "no_event_name", "", "{}", "segment"),
    )  # fmt: skip
    with transaction(engine) as session:
        session.execute(
            update(DeadLetter)
            .where(DeadLetter.dialect == "segment")
            .values(created_at=NOW - timedelta(days=2))
        )

    def found(query: str) -> int:
        return len(ask("GET", query)["dead_letters"])

    first = ask("GET", "?limit=3")
    rest = ask("GET", f"?limit=3&cursor={first['next_cursor']}")
    ids = [item["event_id"] for page in (first, rest) for item in page["dead_letters"]]
    assert (len(ids), len(set(ids)), rest["next_cursor"]) == (4, 4, None)
    assert [found("?reason=refused"), found("?event_type=view"), found("?dialect=segment")] == [
        3,
        3,
        1,
    ]
    assert [found("?dialect=none"), found("?state=any"), found("?state=discarded")] == [3, 4, 0]
    assert [found("?date_from=2026-03-13&date_to=2026-03-14"), found(f"?event_id={ids[0]}")] == [
        1,
        1,
    ]
    counts = ask("GET", "/counts")
    assert (counts["total"], [row["letters"] for row in counts["reasons"]]) == (4, [3, 1])


UNUSABLE: tuple[Any, ...] = (
    {"event_ids": []}, {"event_ids": ["x"]}, {"reason": "\0"}, {"reason": "\ud800"}, [], 5,
    {"limit": 10**30, "all": True}, {"date_from": "9999-12-31"}, {"all": "maybe"},
    {"cursor": "\0", "all": True},
)  # fmt: skip


def test_hostile_questions_are_refused_and_never_fail(
    ask: Callable[..., Any], client: FlaskClient, admin: dict[str, str]
) -> None:
    check_problem(client.post(f"{URL}/replay", json={}, headers=admin), 422, "nothing_named")
    check_problem(client.post(f"{URL}/discard", json={}, headers=admin), 422, "nothing_named")
    check_problem(client.get(f"{URL}/{NAMELESS}", headers=admin), 404, "not_found")
    check_problem(client.get(f"{URL}/{uuid7_at(1)}", headers=admin), 404, "unknown_letter")
    check_problem(client.get(f"{URL}?cursor=abc", headers=admin), 400, "bad_cursor")
    for body in UNUSABLE:
        assert client.post(f"{URL}/replay", json=body, headers=admin).status_code in (400, 422)
    assert ask("POST", "/replay", json={"all": True, "dry_run": True})["letters"] == 0
    assert ask("POST", "/discard", json={"all": True})["discarded"] == 0


def test_pages_are_read_by_an_index_among_100_000_letters(engine: Engine, session: Session) -> None:
    with transaction(engine) as own:
        own.execute(
            text(
                "INSERT INTO dead_letters (event_id, reason, detail, event, event_type, "
                "created_at, discarded_at) SELECT gen_random_uuid(), 'r' || n % 20, '', '{}', "
                "'t' || n % 30, CAST('2026-01-01' AS timestamptz) + n * interval '1 second', "
                "CASE WHEN n % 1000 <> 0 THEN now() END FROM generate_series(1, 100000) AS n"
            )
        )
    session.execute(text("ANALYZE dead_letters"))

    for condition in ("discarded_at IS NULL", "reason = 'r7'", "event_type = 't7'", "TRUE"):
        plan = session.scalar(
            text(
                f"EXPLAIN (FORMAT JSON) SELECT event_id FROM dead_letters WHERE {condition} AND "
                "(created_at, event_id) < (now(), CAST('ffffffff-0000-0000-0000-000000000000' AS "
                "uuid)) ORDER BY created_at DESC, event_id DESC LIMIT 51"
            )
        )
        scan = plan[0]["Plan"]["Plans"][0]
        assert scan["Node Type"] in ("Index Scan", "Index Only Scan"), condition
        assert scan["Index Cond"] != "", condition


def test_the_alarms_tell_of_dead_letters(
    app_with: Callable[..., FlaskClient], dead: str, ask: Callable[..., Any]
) -> None:
    client = app_with(dead_letters_alarm=0)

    ready = client.get("/readyz").json
    figures = client.get("/metrics").text
    ask("DELETE", f"/{dead}")
    after = client.get("/readyz").json

    assert ready is not None
    assert after is not None
    assert ready["checks"]["dead_letters"]["detail"].startswith("more than 0 wait")
    assert ready["ready"] is True
    assert 'millrace_dead_letters{dialect="none",reason="refused"} 1.0' in figures
    assert 'millrace_dead_letters_last_hour{dialect="none",reason="refused"} 1.0' in figures
    assert after["checks"]["dead_letters"] == {"ok": True, "waiting": 0}


def sent_again(engine: Engine, letter: str, *, kept_before_s: int) -> None:
    """Store the mended event of a letter that was kept so long before."""
    with transaction(engine) as session:
        kept_at = NOW - timedelta(seconds=kept_before_s)
        session.execute(
            update(DeadLetter).where(DeadLetter.event_id == letter).values(created_at=kept_at)
        )
    assert store(engine, crafted({**BROKEN, "quantity": 3})).stored == 1


def test_a_letter_whose_event_was_mended_and_sent_again_goes_with_the_night(
    dead: str, engine: Engine, redis_client: redis.Redis
) -> None:
    keep(engine, letter_of("{}"))
    sent_again(engine, dead, kept_before_s=60)

    all_agrees(engine, redis_client)
    outcome = reconcile(engine, day=TODAY, zone="UTC")

    assert outcome["superseded_letters"] == 1
    assert counts_of(engine) == (1, 1, 1)


def test_an_event_that_was_stored_and_kept_as_a_letter_at_once_stays_seen(
    dead: str, engine: Engine, redis_client: redis.Redis
) -> None:
    sent_again(engine, dead, kept_before_s=-60)

    assert reconcile(engine, day=TODAY, zone="UTC")["superseded_letters"] == 0
    found = check_invariants(engine, redis_client, zone="UTC")
    assert [item.id for item in found if not item.ok] == ["I2"]
