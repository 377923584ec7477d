"""Rejected messages of other SDKs: kept once, of nobody who declined, and within bounds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

import inbox
from app.doors.rejects import MAX_LETTERS
from door_counts import DoorCounts, read_door_counts
from models.database import transaction
from models.dead_letters import DeadLetter
from models.erasures import request_erasure
from models.events import Event
from models.holdings import count_held, stream_held
from models.invariants import check_invariants
from models.person import Person, read_actor
from models.suppressions import OPT_OUT, Salts, suppress
from settings import Settings
from tasks.aggregate import aggregate_dirty
from tasks.erase import erase
from tasks.ingest import Drainer
from tasks.retention import purge
from tasks.store import StoreResult, store_bodies
from tests.builders import NOW, NOW_MS, TODAY, crafted, uuid7_at

AppWith = Callable[..., FlaskClient]
GOOD = {"type": "track", "event": "Product Viewed", "messageId": "m1", "userId": "u1",
        "properties": {"product_id": "p1"}, "timestamp": "2026-03-15T11:59:00Z"}  # fmt: skip
NAMELESS = {"type": "track", "messageId": "m2", "userId": "u1", "properties": {"price": 5}}


def send(client: FlaskClient, *messages: Any, **fields: Any) -> None:
    """Send a batch as Segment's SDKs do; it is answered as taken."""
    body = orjson.dumps({"batch": list(messages), **fields})
    assert client.post("/v1/batch", data=body).status_code == 200


def letters(session: Session) -> list[DeadLetter]:
    session.rollback()
    return list(session.scalars(select(DeadLetter).order_by(DeadLetter.detail)))


def event_of(letter: DeadLetter) -> dict[str, Any]:
    (event,) = orjson.loads(letter.event)["events"]
    return dict(event)


def all_agrees(engine: Engine, client: redis.Redis) -> None:
    aggregate_dirty(engine, zone="UTC", now=NOW)
    broken = [item for item in check_invariants(engine, client, zone="UTC") if not item.ok]
    assert broken == []


def test_a_rejected_message_is_kept_beside_the_events_of_its_batch(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    send(client, GOOD, NAMELESS, sentAt="2026-03-15T12:00:00Z")

    result = drainer.drain()

    assert result == StoreResult(stored=1, quarantined=1)
    (letter,) = letters(session)
    assert (letter.dialect, letter.reason) == ("segment", "no_event_name")
    assert letter.detail
    batch = orjson.loads(letter.event)
    assert batch["received_at"] == "2026-03-15T12:00:00.000Z"
    assert batch["sent_at"] == "2026-03-15T12:00:00.000Z"
    assert batch["path"] == "/v1/batch"
    event = event_of(letter)
    assert (event["user_id"], event["message_id"]) == ("u1", "m2")
    assert event["message"] == NAMELESS


def test_every_dialect_keeps_what_it_rejects(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    good = {"event": "a", "distinct_id": "u1", "properties": {}}
    client.post("/batch/", json={"api_key": "", "batch": [good, {"distinct_id": "u1"}]})
    cloud = {"specversion": "1.0", "id": "1", "source": "s", "type": "a", "data": {"user_id": "u1"}}
    client.post(
        "/cloudevents",
        json=[cloud, {**cloud, "id": "2", "type": None}],
        content_type="application/cloudevents-batch+json",
    )

    result = drainer.drain()

    assert result == StoreResult(stored=2, quarantined=2)
    found = letters(session)
    assert {letter.dialect for letter in found} == {"posthog", "cloudevents"}
    actors = {read_actor(orjson.dumps(event_of(letter))) for letter in found}
    assert actors == {("u1", None)}


def test_a_batch_of_which_nothing_is_accepted_is_kept_too(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    send(client, NAMELESS, "no object", None, [], {"type": "dance"})

    result = drainer.drain()

    assert result == StoreResult(quarantined=5)
    assert len(letters(session)) == 5


def test_a_batch_sent_and_delivered_twice_is_kept_once(
    client: FlaskClient, engine: Engine, drainer: Drainer, redis_client: redis.Redis,
    session: Session,
) -> None:  # fmt: skip
    broken = {"type": "track", "userId": "u1", "sentAt": "1"}
    send(client, GOOD, NAMELESS, broken, sentAt="2026-03-15T12:00:00Z")
    (taken,) = inbox.take(redis_client, "dies", count=1)
    store_bodies(engine, [taken.body], set(taken.days), known_days=set(), zone="UTC")
    send(client, GOOD, NAMELESS, {**broken, "sentAt": "2"}, sentAt="2026-03-15T12:00:09Z")

    result = drainer.drain()
    again = drainer.drain()

    assert result == StoreResult(duplicate=2)
    assert again == StoreResult()
    assert len(letters(session)) == 2
    assert len(session.scalars(select(Event)).all()) == 1
    all_agrees(engine, redis_client)


_CRASH = """
import os, signal, sys
from datetime import date
from sqlalchemy import event
from sqlalchemy.orm import Session
import inbox
from models.database import make_engine
from tasks.ingest import Drainer

database, server, key, when, day = sys.argv[1:]
event.listen(Session, when, lambda session: os.kill(os.getpid(), signal.SIGKILL))
Drainer(
    engine=make_engine(database, application="crash"), client=inbox.connect(server),
    consumer="crash", secret_key=key, known_days={date.fromisoformat(day)},
).drain()
"""


@pytest.mark.parametrize("when", ["before_commit", "after_commit"])
def test_a_worker_that_is_killed_while_it_stores_leaves_each_once(
    client: FlaskClient, engine: Engine, settings: Settings, redis_client: redis.Redis,
    drainer: Drainer, session: Session, when: str,
) -> None:  # fmt: skip
    send(client, GOOD, NAMELESS)
    arguments = [settings.sqlalchemy_url, settings.redis_url, settings.secret_key, when, str(TODAY)]

    killed = subprocess.run([sys.executable, "-c", _CRASH, *arguments], check=False)
    send(client, GOOD, NAMELESS)
    result = drainer.drain()

    assert killed.returncode == -9
    again = 1 if when == "before_commit" else 0
    assert result == StoreResult(stored=again, duplicate=2 - again, quarantined=again)
    assert len(letters(session)) == len(session.scalars(select(Event)).all()) == 1
    assert read_door_counts(redis_client) == [DoorCounts("segment", 4, 2, {"no_event_name": 2})]
    all_agrees(engine, redis_client)


def test_a_message_that_is_accepted_later_is_stored(
    client: FlaskClient, engine: Engine, drainer: Drainer, redis_client: redis.Redis,
    session: Session,
) -> None:  # fmt: skip
    send(client, {**GOOD, "event": None})
    send(client, GOOD)

    result = drainer.drain()

    assert (result.stored, result.quarantined) == (1, 1)
    all_agrees(engine, redis_client)


def test_rejected_messages_are_kept_when_the_database_refuses_an_event_beside_them(
    client: FlaskClient, drainer: Drainer, redis_client: redis.Redis, session: Session
) -> None:
    poison = {"event_id": uuid7_at(NOW_MS), "quantity": 2**31}
    inbox.put(redis_client, crafted(poison), events=1, days=[TODAY])
    send(client, GOOD, NAMELESS)

    result = drainer.drain()

    assert (result.stored, result.dead, result.quarantined) == (1, 1, 1)
    assert {letter.dialect for letter in letters(session)} == {None, "segment"}


def test_what_a_dead_letter_holds_can_be_sent_again(
    client: FlaskClient, drainer: Drainer, session: Session
) -> None:
    send(client, NAMELESS)
    drainer.drain()
    (letter,) = letters(session)

    send(client, {**event_of(letter)["message"], "event": "Mended"})

    assert drainer.drain().stored == 1


HOSTILE: dict[str, bytes] = {
    "half an emoji": b'{"type":"track","event":"a","userId":"\\ud800","messageId":"\\ud800"}',
    "NUL": b'{"type":"track","event":"a\\u0000","userId":"u\\u0000","messageId":"\\u0000"}',
    "NaN": b'{"type":"track","event":"a","userId":"u1","properties":{"a":NaN}}',
    "a number without end": b'{"type":"track","event":"a","userId":"u1","properties":{"a":1'
    + b"0" * 400
    + b"}}",
    "too deep": b'{"type":"track","event":"a","userId":"u1","properties":'
    + b'{"a":' * 900
    + b"1"
    + b"}" * 900
    + b"}",
    "nested as deep as can be read": b'{"type":"track","event":"a","userId":"u1","properties":'
    + b'{"a":' * 1000
    + b"1"
    + b"}" * 1000
    + b"}",
    "a list as a name": b'{"type":"track","event":["a"],"userId":{"a":1},"messageId":[1]}',
    "a field of ours": b'{"type":"track","userId":"u1","rejected":[{"letter_id":"x"}]}',
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_messages_are_kept_and_hold_nothing_up(
    client: FlaskClient, drainer: Drainer, session: Session, message: bytes
) -> None:
    good = orjson.dumps(GOOD)

    answer = client.post("/v1/batch", data=b'{"batch":[' + good + b"," + message + b"]}")
    result = drainer.drain()

    assert answer.status_code == 200
    assert result == StoreResult(stored=1, quarantined=1)
    (letter,) = letters(session)
    assert orjson.loads(letter.event.encode())["dialect"] == "segment"


def test_of_a_message_that_is_too_large_the_head_is_kept(
    client: FlaskClient, drainer: Drainer, session: Session, settings: Settings
) -> None:
    send(client, {**GOOD, "properties": {"text": "x" * settings.sdk_max_event_bytes}})

    drainer.drain()

    (letter,) = letters(session)
    event = event_of(letter)
    assert letter.reason == "too_large"
    assert event["size_bytes"] > settings.sdk_max_event_bytes
    assert (event["user_id"], event["message_id"]) == ("u1", "m1")
    assert "message" not in event
    assert len(letter.event) < 1000


def test_garbage_takes_only_so_much_room(
    client: FlaskClient, drainer: Drainer, redis_client: redis.Redis
) -> None:
    small = [{"type": "track", "messageId": str(n)} for n in range(MAX_LETTERS + 50)]
    large = [{"type": "track", "messageId": f"l{n}", "text": "x" * 30_000} for n in range(60)]

    send(client, *small)
    kept = drainer.drain().quarantined
    send(client, *large)
    more = drainer.drain().quarantined

    assert kept == MAX_LETTERS
    assert 25 < more < 40
    assert inbox.read_depth(redis_client).batches == 0


def test_what_the_deny_list_names_and_addresses_are_not_kept(
    app_with: AppWith, drainer: Drainer, session: Session
) -> None:
    message = {
        **NAMELESS,
        "context": {"ip": "203.0.113.77", "Email": "a@b.example"},
        "properties": {"$ip": "203.0.113.77", "deep": [{"email": "a@b.example"}], "ip": 5},
    }

    send(app_with(property_deny_list="email"), message)
    drainer.drain()

    (letter,) = letters(session)
    assert "a@b.example" not in letter.event
    assert "203.0.113.77" not in letter.event
    kept = event_of(letter)["message"]
    assert kept["context"] == {"ip": "203.0.113.0"}
    assert kept["properties"] == {"$ip": "203.0.113.0", "deep": [{}]}


def opt_out(engine: Engine, settings: Settings, user: str | None, *anonymous: str) -> None:
    with transaction(engine) as session:
        salts = Salts.of(settings.secret_key)
        suppress(session, salts, salts.digests(user, anonymous), reason=OPT_OUT)


OF_ONE_PERSON = [
    NAMELESS,
    {"type": "dance", "messageId": "m3", "userId": "u1"},
    {"type": "dance", "messageId": "m4", "anonymousId": "a1"},
    {"type": "dance", "messageId": "m5", "properties": {"distinct_id": "u1"}},
    {"type": "dance", "messageId": "m6", "anonymousId": "u1"},
]
OF_OTHERS = [
    {"type": "dance", "messageId": "m7", "userId": "u2", "anonymousId": "a1"},
    {"type": "dance", "messageId": "m8", "userId": "u2", "previousId": "u1"},
    {"type": "dance", "messageId": "m9"},
]


def test_the_door_keeps_nothing_of_people_who_opted_out(
    client: FlaskClient, engine: Engine, settings: Settings, redis_client: redis.Redis
) -> None:
    opt_out(engine, settings, "u1", "a1")
    client.application.extensions["millrace"].suppressed.refresh()

    send(client, GOOD, *OF_ONE_PERSON)

    assert inbox.read_depth(redis_client).batches == 0


def test_the_worker_keeps_nothing_of_people_who_opted_out_meanwhile(
    client: FlaskClient, engine: Engine, settings: Settings, drainer: Drainer, session: Session
) -> None:
    send(client, GOOD, *OF_ONE_PERSON, *OF_OTHERS)
    opt_out(engine, settings, "u1", "a1")

    result = drainer.drain()

    assert result == StoreResult(refused=1, quarantined=3)
    assert {event_of(letter)["message_id"] for letter in letters(session)} == {"m7", "m8", "m9"}


@pytest.mark.parametrize("waiting", [False, True], ids=["stored", "in the inbox"])
def test_a_persons_rejected_messages_are_shown_and_erased(
    client: FlaskClient, engine: Engine, settings: Settings, redis_client: redis.Redis,
    drainer: Drainer, session: Session, waiting: bool,
) -> None:  # fmt: skip
    person = Person("u1", ("a1",))
    nobody = {"type": "dance", "messageId": "m10", "who": ["u1"]}
    send(client, *OF_ONE_PERSON, nobody, *OF_OTHERS)
    if not waiting:
        drainer.drain()
    kind = "inbox" if waiting else "dead_letters"

    held = count_held(session, redis_client, person)
    shown = [orjson.loads(line) for line in stream_held(engine, redis_client, person, salts=None)]
    with transaction(engine) as opened:
        salts = Salts.of(settings.secret_key)
        erasure_id = request_erasure(opened, salts, person, now=NOW).erasure_id
    erase(
        engine, redis_client, erasure_id,
        secret_key=settings.secret_key, zone="UTC", clock=lambda: NOW,
    )  # fmt: skip
    drainer.drain()

    assert held == {"events": 0, "identities": 0, "dead_letters": 0, "inbox": 0, kind: 6}
    assert len(shown) == 6
    assert {event_of(letter)["message_id"] for letter in letters(session)} == {"m7", "m8", "m9"}
    assert set(count_held(session, redis_client, person).values()) == {0}


def test_dead_letters_are_purged_by_age(
    client: FlaskClient, engine: Engine, drainer: Drainer, session: Session
) -> None:
    send(client, NAMELESS, {**NAMELESS, "messageId": "m3"})
    drainer.drain()
    old, young = letters(session)
    with transaction(engine) as opened:
        for letter, days in ((old, 31), (young, 29)):
            opened.execute(
                update(DeadLetter)
                .where(DeadLetter.event_id == letter.event_id)
                .values(created_at=NOW - timedelta(days=days))
            )

    would = purge(engine, days=30, zone="UTC", now=NOW, dry_run=True)
    of_type = purge(engine, days=None, by_type={"a": 30}, zone="UTC", now=NOW)
    done = purge(engine, days=30, zone="UTC", now=NOW)

    assert (would.dead_letters, of_type.dead_letters, done.dead_letters) == (1, 0, 1)
    assert [letter.event_id for letter in letters(session)] == [young.event_id]
