"""Privacy over HTTP: what the door leaves out, opt-outs, erasures with receipts, exports."""

from __future__ import annotations

import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
import redis
from click import Command
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text, update
from werkzeug.test import TestResponse

import inbox
from app.suppressed import SuppressedPeople
from cli.doctor.finding import ERROR, OK, Patient
from cli.doctor.services import check_database
from cli.privacy import erase_user, export_person, opt_in, opt_out
from event_lines import as_json
from models.database import transaction
from models.dirty_days import read_dirty_days
from models.erasures import request_erasure
from models.events import Event
from models.person import Person
from models.suppressions import Salts, Suppression, suppress, uses_another_key
from settings import Settings
from tasks import registry, resources
from tasks.erase import erase
from tasks.ingest import Drainer
from tests.builders import DAY_MS, NOW, NOW_MS, body, store_events

DOOR = "/api/v1/analytics/events/"
OPT_OUT = "/api/privacy/opt-out"
ERASE = "/api/privacy/erase"
ERASURES = "/api/privacy/erasures"
EXPORT = "/api/privacy/export"
VIEW = {"event_type": "product_view", "product_id": "p1"}


@pytest.fixture
def worker(engine: Engine, redis_client: redis.Redis, settings: Settings) -> Drainer:
    return Drainer(engine=engine, client=redis_client, consumer="w", secret_key=settings.secret_key)


def stored(engine: Engine, column: Any) -> list[Any]:
    with transaction(engine) as session:
        return list(session.scalars(select(column).order_by(Event.event_id)))


def entries(client: redis.Redis) -> list[Any]:
    return [orjson.loads(as_json(batch.body)) for batch in inbox.scan(client)]


def finish(
    engine: Engine, client: redis.Redis, settings: Settings, answer: TestResponse
) -> dict[str, Any]:
    """Carry out an erasure as the worker would; give the answer to its request."""
    accepted: dict[str, Any] = body(answer)
    assert answer.status_code == 202
    erase(
        engine,
        client,
        UUID(accepted["erasure_id"]),
        secret_key=settings.secret_key,
        zone="UTC",
        clock=lambda: NOW,
    )
    return accepted


@pytest.mark.parametrize("header", ["DNT", "Sec-GPC"])
def test_a_browser_that_declines_is_left_alone_when_the_setting_says_so(
    app_with: Callable[..., FlaskClient], redis_client: redis.Redis, header: str
) -> None:
    respectful = app_with(respect_dnt=True)

    declined = respectful.post(DOOR, json=VIEW, headers={header: "1"})
    agreed = respectful.post(DOOR, json=VIEW, headers={header: "0"})
    log = respectful.post("/api/events/log", json=VIEW, headers={header: "1"})
    other = app_with().post(DOOR, json=VIEW, headers={header: "1"})

    codes = [answer.status_code for answer in (declined, agreed, log, other)]
    assert codes == [204, 201, 204, 201]
    assert len(entries(redis_client)) == 2


def test_an_address_is_hashed_with_a_salt_of_the_day(
    app_with: Callable[..., FlaskClient], redis_client: redis.Redis
) -> None:
    now = NOW.timestamp()
    for clock in (now, now, now + DAY_MS / 1000):
        # Each has to find the salt that another process made.
        visitor = app_with(clock=partial(float, clock), ip_mode="hashed")
        for address in ("203.0.113.9", "203.0.113.10"):
            visitor.post(DOOR, json=VIEW, environ_base={"REMOTE_ADDR": address})

    kept = [entry["ip_address"] for entry in entries(redis_client)]
    assert kept[:2] == kept[2:4]
    assert len(set(kept)) == 4
    assert all(len(item) == 16 and int(item, 16) >= 0 for item in kept)
    lives_ms = redis_client.pttl(f"millrace:salt:{NOW_MS // DAY_MS}")
    assert 12 * 3_600_000 < lives_ms <= 13 * 3_600_000


def test_without_the_inbox_there_is_no_salt_and_no_answer_but_503(
    app_with: Callable[..., FlaskClient],
) -> None:
    away = app_with(ip_mode="hashed", redis_url="unix:///nowhere.sock")

    assert away.post(DOOR, json=VIEW).status_code == 503


def test_denied_properties_are_not_even_in_the_inbox(
    app_with: Callable[..., FlaskClient], redis_client: redis.Redis
) -> None:
    visitor = app_with(property_deny_list="email,phone")
    event = {**VIEW, "properties": {"Email": "a@b.c", "k": 1}, "phone": "12", "context": {"x": 1}}

    visitor.post(DOOR, json={"events": [event, VIEW]})

    assert b"a@b.c" not in next(inbox.scan(redis_client)).body
    assert entries(redis_client)[0]["events"][0]["properties"] == {"k": 1}


def test_after_an_opt_out_events_are_refused_until_it_is_taken_back(
    client: FlaskClient, admin: dict[str, str], engine: Engine, worker: Drainer
) -> None:
    store_events(engine, {"event_type": "login", "user_id": "u1", "anonymous_id": "a1"})
    events = [
        {**VIEW, "user_id": "u1"},
        {**VIEW, "anonymous_id": "a1"},
        {**VIEW, "user_id": "u2", "anonymous_id": "a1"},
        VIEW,
    ]

    out = client.post(OPT_OUT, json={"user_id": "u1"}, headers=admin)
    refused = client.post(DOOR, json={"events": events})
    status = client.get(OPT_OUT, query_string={"anonymous_id": "a1"}, headers=admin)
    back = client.delete(OPT_OUT, query_string={"user_id": "u1"}, headers=admin)
    taken = client.post(DOOR, json={"events": events})

    assert body(out) == {"opted_out": True, "reason": "opt_out", "ids_changed": 2}
    assert [result.get("reason") for result in body(refused)["results"]] == [
        "opted_out", "opted_out", None, None,
    ]  # fmt: skip
    assert body(status) == {"opted_out": True, "reason": "opt_out", "ids_changed": 0}
    assert body(back) == {"opted_out": False, "reason": None, "ids_changed": 2}
    assert body(taken)["events_created"] == 4
    worker.drain()
    assert len(stored(engine, Event.event_id)) == 7


def test_one_event_of_somebody_who_opted_out_is_a_problem_document(
    client: FlaskClient, admin: dict[str, str]
) -> None:
    client.post(OPT_OUT, json={"anonymous_id": "a1"}, headers=admin)

    answer = client.post(DOOR, json=VIEW, headers={"X-Client-ANON-ID": "a1"})

    assert (answer.status_code, body(answer)["code"]) == (422, "opted_out")


def test_the_worker_refuses_what_came_before_the_door_knew(
    client: FlaskClient, admin: dict[str, str], engine: Engine, worker: Drainer
) -> None:
    client.post(DOOR, json={"events": [{**VIEW, "user_id": "u1"}, {**VIEW, "user_id": "u2"}]})

    client.post(OPT_OUT, json={"user_id": "u1"}, headers=admin)
    result = worker.drain()

    assert (result.stored, result.refused) == (1, 1)
    assert stored(engine, Event.user_id) == ["u2"]
    assert b'millrace_events{outcome="refused"} 1.0' in client.get("/metrics").data


def test_another_process_learns_of_an_opt_out_by_itself(
    client: FlaskClient, admin: dict[str, str], engine: Engine, settings: Settings
) -> None:
    other = SuppressedPeople(engine, secret_key=settings.secret_key)
    client.post(OPT_OUT, json={"user_id": "u1"}, headers=admin)

    before = other.covers("u1", None)
    other.refresh()

    assert (before, other.covers("u1", None), other.covers(None, "u1")) == (False, True, False)


def test_the_door_sees_a_change_that_leaves_the_count_and_the_newest_time_alone(
    engine: Engine, settings: Settings
) -> None:
    salts = Salts.of(settings.secret_key)
    with transaction(engine) as session:
        suppress(session, salts, salts.digests("u1", []), reason="opt_out")
    people = SuppressedPeople(engine, secret_key=settings.secret_key)
    people.refresh()

    # As when somebody opts in while an opt-out that began earlier is committed.
    with transaction(engine) as session:
        session.execute(
            update(Suppression)
            .where(Suppression.digest == salts.digest_user("u1"))
            .values(digest=salts.digest_user("u2"))
        )
    people.refresh()

    assert (people.covers("u1", None), people.covers("u2", None)) == (False, True)


def test_an_erasure_is_accepted_done_fetched_and_verified(
    client: FlaskClient,
    admin: dict[str, str],
    engine: Engine,
    redis_client: redis.Redis,
    settings: Settings,
    worker: Drainer,
) -> None:
    store_events(engine, {**VIEW, "user_id": "u1"}, {**VIEW, "user_id": "u2"})
    client.post(DOOR, json={**VIEW, "user_id": "u1"})

    answer = client.post(ERASE, json={"user_id": "u1", "anonymous_id": "a1"}, headers=admin)
    url = body(answer)["url"]
    early = body(client.post(f"{url}/verify", json={"user_id": "u1"}, headers=admin))
    finish(engine, redis_client, settings, answer)
    receipt = body(client.get(url, headers=admin))
    verified = body(client.post(f"{url}/verify", json={"user_id": "u1"}, headers=admin))
    of_another = body(client.post(f"{url}/verify", json={"user_id": "u2"}, headers=admin))

    assert (body(answer)["status"], receipt["status"]) == ("queued", "done")
    assert receipt["counts"] == {"events": 1, "identities": 0, "dead_letters": 0, "inbox": 1}
    assert (len(receipt["digests"]), len(receipt["signature"])) == (2, 64)
    stated = {name: item for name, item in receipt.items() if name not in ("signature", "notes")}
    signed = json.dumps(stated, sort_keys=True, separators=(",", ":"))
    key = settings.secret_key.encode()
    assert receipt["signature"] == hmac.digest(key, signed.encode(), "sha256").hex()
    assert "u1" not in orjson.dumps(receipt).decode()
    assert (early["verified"], early["found"]["events"]) == (False, 1)
    assert verified == {
        "verified": True, "finished": True, "person_matches": True, "signature_valid": True,
        "found": {"events": 0, "identities": 0, "dead_letters": 0, "inbox": 0},
    }  # fmt: skip
    assert (of_another["verified"], of_another["person_matches"]) == (False, False)
    again = client.post(DOOR, json={**VIEW, "user_id": "u1"})
    assert (again.status_code, body(again)["code"]) == (422, "opted_out")
    status = body(client.get(OPT_OUT, query_string={"user_id": "u1"}, headers=admin))
    assert status["reason"] == "erased"
    client.delete(OPT_OUT, query_string={"user_id": "u1"}, headers=admin)
    assert client.post(DOOR, json={**VIEW, "user_id": "u1"}).status_code == 422
    linked = {"user_id": "u1", "anonymous_id": "new"}
    assert client.post("/api/identities", json=linked, headers=admin).status_code == 409


def test_a_receipt_that_was_changed_does_not_verify(
    client: FlaskClient,
    admin: dict[str, str],
    engine: Engine,
    redis_client: redis.Redis,
    settings: Settings,
) -> None:
    answer = client.post(ERASE, json={"user_id": "u1"}, headers=admin)
    accepted = finish(engine, redis_client, settings, answer)
    with transaction(engine) as session:
        session.execute(text("UPDATE erasures SET finished_at = finished_at + interval '1 day'"))

    found = body(client.post(f"{accepted['url']}/verify", json={"user_id": "u1"}, headers=admin))

    assert (found["verified"], found["person_matches"], found["signature_valid"]) == (
        False, True, False,
    )  # fmt: skip


def test_erasures_are_listed_page_by_page_newest_first(
    client: FlaskClient, admin: dict[str, str]
) -> None:
    made = [
        body(client.post(ERASE, json={"user_id": f"u{n}"}, headers=admin))["erasure_id"]
        for n in range(5)
    ]

    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = body(client.get(ERASURES, query_string=query, headers=admin))
        seen += [item["erasure_id"] for item in page["erasures"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert seen == sorted(made, reverse=True)
    for cursor in ("x", "WyJub3QgYSB1dWlkIl0"):
        bad = client.get(ERASURES, query_string={"cursor": cursor}, headers=admin)
        assert (bad.status_code, body(bad)["code"]) == (400, "bad_cursor")


def test_everything_about_a_person_is_exported(
    client: FlaskClient, admin: dict[str, str], engine: Engine
) -> None:
    store_events(
        engine,
        {"event_type": "login", "user_id": "u1", "anonymous_id": "a1"},
        {**VIEW, "anonymous_id": "a1", "properties": {"note": "line\nbreak"}},
        {**VIEW, "user_id": "u2"},
    )
    client.post(DOOR, json={**VIEW, "user_id": "u1"})
    client.post(OPT_OUT, json={"user_id": "u1"}, headers=admin)

    answer = client.post(EXPORT, json={"user_id": "u1"}, headers=admin)

    assert (answer.status_code, answer.mimetype) == (200, "application/x-ndjson")
    kinds = [orjson.loads(line)["kind"] for line in answer.data.splitlines()]
    assert kinds == ["identity", "suppression", "suppression", "waiting", "event", "event"]
    nobody = client.post(EXPORT, json={"anonymous_id": "nobody"}, headers=admin)
    assert (nobody.status_code, nobody.data) == (200, b"")


BAD_PEOPLE: list[Any] = [
    {}, {"user_id": None}, {"user_id": ""}, {"user_id": []}, {"user_id": {"a": 1}},
    {"user_id": True}, {"user_id": "a\0b"}, {"user_id": "x" * 201}, {"user_id": "u", "more": 1},
    [], "u1", 5, None,
]  # fmt: skip


@pytest.mark.parametrize("path", [OPT_OUT, ERASE, EXPORT])
@pytest.mark.parametrize("sent", BAD_PEOPLE)
def test_a_request_that_names_nobody_is_refused(
    client: FlaskClient, admin: dict[str, str], path: str, sent: Any
) -> None:
    answer = client.post(path, json=sent, headers=admin)

    assert answer.status_code in (400, 422)
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    "text_of_body",
    [
        r'{"user_id":"\ud800"}', '{"user_id":' + "1" * 5000 + "}", '{"user_id":1e999}',
        '{"user_id":' + "[" * 50_000 + "]" * 50_000 + "}", '{"user_id":NaN}', '{"user_id"', "",
        '{"user_id":"a","user_id":null}',
    ],
    ids=lambda text_of_body: text_of_body[:20],
)  # fmt: skip
def test_a_hostile_body_is_refused(
    client: FlaskClient, admin: dict[str, str], text_of_body: str
) -> None:
    for path in (OPT_OUT, ERASE, EXPORT, "/api/identities"):
        answer = client.post(
            path, data=text_of_body, content_type="application/json", headers=admin
        )
        assert answer.status_code in (400, 422)
        assert answer.mimetype == "application/problem+json"


def test_an_unknown_erasure_is_not_found(client: FlaskClient, admin: dict[str, str]) -> None:
    path = f"{ERASURES}/019cf15e-1200-7f04-9b5a-cc431dfe61ee"

    assert client.get(path, headers=admin).status_code == 404
    assert client.post(f"{path}/verify", json={"user_id": "u"}, headers=admin).status_code == 404
    assert client.get(f"{ERASURES}/x", headers=admin).status_code == 404


def test_without_a_secret_key_nobody_can_opt_out(
    app_with: Callable[..., FlaskClient], admin: dict[str, str]
) -> None:
    keyless = app_with(secret_key="")

    for path in (OPT_OUT, ERASE):
        answer = keyless.post(path, json={"user_id": "u1"}, headers=admin)
        assert (answer.status_code, body(answer)["code"]) == (503, "secret_key_missing")


def test_another_secret_key_is_noticed(
    client: FlaskClient, admin: dict[str, str], engine: Engine, settings: Settings
) -> None:
    client.post(OPT_OUT, json={"user_id": "u1"}, headers=admin)

    with transaction(engine) as session:
        assert not uses_another_key(session, Salts.of(settings.secret_key))
        assert uses_another_key(session, Salts.of("another"))


@pytest.mark.parametrize("key", ["another", ""])
def test_the_doctor_sees_another_secret_key(
    client: FlaskClient, admin: dict[str, str], settings: Settings, key: str
) -> None:
    def status_of(secret_key: str) -> str:
        patient = Patient(
            replace(settings, secret_key=secret_key), Path("."), running=None, reachable=True
        )
        return next(found.status for found in check_database(patient) if found.id == "secret_key")

    assert status_of(key) == OK
    client.post(OPT_OUT, json={"user_id": "u1"}, headers=admin)

    assert (status_of(settings.secret_key), status_of(key)) == (OK, ERROR)


def run(command: Command, *arguments: str) -> list[str]:
    """Run a command; give its lines that are not the log's."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return [line for line in result.stdout.splitlines() if "[info" not in line]


def test_people_can_be_erased_exported_and_opted_out_by_hand(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("SECRET_KEY", settings.secret_key)
    store_events(
        engine,
        {"event_type": "login", "user_id": "u1", "anonymous_id": "a1"},
        {**VIEW, "anonymous_id": "a1"},
        {**VIEW, "user_id": "u2"},
    )

    assert run(opt_out, "u1", "--dry-run") == ["would opt out 2 ids"]
    assert run(opt_out, "u1") == ["opted out 2 ids"]
    assert run(opt_in, "u1", "--dry-run") == ["would take back the opt-out of 2 ids"]
    assert run(opt_in, "u1") == ["took back the opt-out of 2 ids"]
    kinds = [orjson.loads(line)["kind"] for line in run(export_person, "u1")]
    assert kinds == ["identity", "event", "event"]
    assert run(erase_user, "u1", "--dry-run")[0] == "would delete 2 events"
    erased = run(erase_user, "u1")
    assert erased[:2] == ["deleted 2 events", "deleted 1 link between an anonymous id and a user"]
    assert erased[-1].startswith("receipt ")
    assert stored(engine, Event.user_id) == ["u2"]
    assert CliRunner().invoke(erase_user, []).exit_code == 2


@pytest.fixture
def worker_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process, and those it starts, be workers on the servers of the tests."""
    for name in ("database_url", "redis_url", "secret_key"):
        monkeypatch.setenv(name.upper(), getattr(settings, name))
    resources._make.cache_clear()
    yield
    here = resources.resources()
    here.engine.dispose()
    here.redis.close()
    resources._make.cache_clear()


@pytest.mark.usefixtures("worker_process")
def test_a_worker_carries_out_an_erasure_and_counts_its_days_again(
    client: FlaskClient, admin: dict[str, str], engine: Engine
) -> None:
    store_events(engine, {**VIEW, "user_id": "u1"})
    accepted = body(client.post(ERASE, json={"user_id": "u1"}, headers=admin))

    assert registry.erase_person(accepted["erasure_id"])

    assert body(client.get(accepted["url"], headers=admin))["counts"]["events"] == 1
    with transaction(engine) as session:
        assert read_dirty_days(session) == []


@pytest.mark.usefixtures("worker_process")
def test_an_erasure_whose_message_was_lost_is_found(
    engine: Engine, redis_client: redis.Redis, settings: Settings
) -> None:
    with transaction(engine) as session:
        request_erasure(session, Salts.of(settings.secret_key), Person("u1"), now=NOW)
    code = "from tasks import registry; print(registry.catch_up())"

    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert "privacy.erase" in told.stdout
    assert redis_client.llen("millrace:celery:default") >= 1
