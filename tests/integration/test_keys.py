"""Write keys and admin tokens: made, listed, rotated and revoked, and what each may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select, text
from sqlalchemy.orm import Session

from app.database import db
from app.write_keys import WriteKeys
from models.api_keys import ADMIN, ADMIN_SCOPES, WRITE, ApiKey, hash_key
from models.database import transaction
from models.events import Event
from models.key_changes import issue_key, revoke_key
from tasks.ingest import Drainer
from tests.builders import NOW, body
from tests.doors import OUR_DOORS
from tests.integration.test_door import URL, VIEW, check_problem

KEYS = "/api/keys"
Headers = dict[str, str]
AppWith = Callable[..., FlaskClient]
AppAt = Callable[[float], FlaskClient]


@pytest.fixture
def app_at(app_with: AppWith) -> AppAt:
    """Give a function that makes an app so many seconds after the time of the tests."""
    return lambda later_s: app_with(clock=lambda: NOW.timestamp() + later_s)


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def make(engine: Engine, kind: str = WRITE, name: str = "shop", **fields: Any) -> tuple[str, str]:
    """Store a key; give its id and the key."""
    with transaction(engine) as session:
        row, key = issue_key(session, kind=kind, name=name, now=NOW, **fields)
        return row.key_id, key


def ask(client: FlaskClient, headers: Headers, **fields: Any) -> Any:
    return client.post(KEYS, json=fields, headers=headers)


def test_a_key_is_shown_once_and_stored_hashed(
    client: FlaskClient, admin: Headers, engine: Engine
) -> None:
    answer = ask(
        client,
        admin,
        kind="write",
        name="shop",
        source="web",
        allowed_origins=["https://Shop.example"],
        rate_limit=600,
        expires_at="2027-01-01T00:00:00Z",
    )

    assert answer.status_code == 201
    made = body(answer)
    key = made.pop("key")
    assert key.startswith("wk_")
    assert made["allowed_origins"] == ["https://shop.example"]
    assert (made["status"], made["source"], made["rate_limit"]) == ("valid", "web", 600)
    assert body(client.get(f"{KEYS}/{made['key_id']}", headers=admin)) == made
    assert key not in client.get(KEYS, headers=admin).text
    with transaction(engine) as session:
        row = session.get_one(ApiKey, made["key_id"])
        assert row.key_hash == hash_key(key)


def test_the_list_is_paged(client: FlaskClient, admin: Headers, engine: Engine) -> None:
    made = [make(engine, name=f"shop {n}")[0] for n in range(3)]

    pages, cursor = [], ""
    while cursor is not None:
        answer = body(client.get(f"{KEYS}?limit=2{cursor}", headers=admin))
        pages.append([key["key_id"] for key in answer["keys"]])
        cursor = answer["next_cursor"] and f"&cursor={answer['next_cursor']}"

    found = [key_id for page in pages for key_id in page]
    assert [len(page) for page in pages] == [2, 2]
    assert set(made) < set(found)
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "a"}, "kind"),
        ({"kind": "master", "name": "a"}, "kind"),
        ({"kind": "write", "name": ""}, "name"),
        ({"kind": "write", "name": "a\0"}, "name"),
        ({"kind": "write", "name": "\ud800"}, "name"),
        ({"kind": "write", "name": "a", "scopes": ["read"]}, "scopes"),
        ({"kind": "admin", "name": "a"}, "scopes"),
        ({"kind": "admin", "name": "a", "scopes": ["root"]}, "scopes"),
        ({"kind": "admin", "name": "a", "scopes": ["read"], "source": "web"}, "source"),
        ({"kind": "write", "name": "a", "allowed_origins": ["shop.example"]}, "allowed_origins"),
        ({"kind": "write", "name": "a", "allowed_origins": ["https://a/b"]}, "allowed_origins"),
        ({"kind": "write", "name": "a", "rate_limit": 0}, "rate_limit"),
        ({"kind": "write", "name": "a", "rate_limit": 1.5}, "rate_limit"),
        ({"kind": "write", "name": "a", "expires_at": "soon"}, "expires_at"),
        ({"kind": "write", "name": "a", "expires_at": "2026-03-15T12:00:00Z"}, "expires_at"),
        ({"kind": "write", "name": "a", "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"kind": "write", "name": "a", "expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"kind": "write", "name": "a", "colour": "red"}, "colour"),
        ({"kind": "write", "name": "a", "test": "perhaps"}, "test"),
        ({"kind": "admin", "name": "a", "scopes": ["read"], "test": True}, "test"),
        ({"kind": "admin", "name": "a", "scopes": ["read"], "key": "phc_abcdefgh"}, "key"),
        ({"kind": "write", "name": "a", "key": "1234567"}, "key"),
        ({"kind": "write", "name": "a", "key": "x" * 201}, "key"),
        ({"kind": "write", "name": "a", "key": "two words"}, "key"),
        ({"kind": "write", "name": "a", "key": "12345678\n"}, "key"),
        ({"kind": "write", "name": "a", "key": "schlüssel"}, "key"),
        ({"kind": "write", "name": "a", "key": "1234567\0"}, "key"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_by_field(
    client: FlaskClient, admin: Headers, fields: dict[str, Any], field: str
) -> None:
    answer = ask(client, admin, **fields)

    check_problem(answer, 422, "invalid")
    assert list(body(answer)["errors"]["json"]) == [field]


def test_a_key_that_clients_send_already_opens_the_door_once_it_is_registered(
    app_at: AppAt, admin: Headers
) -> None:
    theirs = {"kind": "write", "name": "shop", "key": "phc_ZyX9876543210abc"}
    with_key = {"X-Write-Key": theirs["key"]}
    assert app_at(0).post(URL, json=VIEW, headers=with_key).status_code == 401

    made = ask(app_at(0), admin, **theirs)

    assert (made.status_code, body(made)["key"], body(made)["test"]) == (201, theirs["key"], False)
    assert app_at(9).post(URL, json=VIEW, headers=with_key).status_code == 201
    check_problem(ask(app_at(9), admin, **{**theirs, "name": "again"}), 409, "key_known")


def test_a_registered_key_that_was_revoked_stays_so(client: FlaskClient, admin: Headers) -> None:
    theirs = {"kind": "write", "name": "shop", "key": "x" * 200, "test": True}
    made = body(ask(client, admin, **theirs))

    client.delete(f"{KEYS}/{made['key_id']}", headers=admin)

    check_problem(ask(client, admin, **theirs), 409, "key_known")
    listed = body(client.get(KEYS, headers=admin))["keys"]
    found = {key["key_id"]: (key["status"], key["test"]) for key in listed}
    assert found[made["key_id"]] == ("revoked", True)
    assert theirs["key"] not in client.get(KEYS, headers=admin).text


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_an_unknown_key_is_404(client: FlaskClient, admin: Headers, method: str) -> None:
    path = f"{KEYS}/nobody" + ("/rotate" if method == "POST" else "")

    check_problem(client.open(path, method=method, headers=admin), 404, "unknown_key")


def test_a_token_cannot_make_one_that_may_do_more(client: FlaskClient, engine: Engine) -> None:
    _, token = make(engine, ADMIN, "keeper", scopes=("read", "admin"))
    strong_id, _ = make(engine, ADMIN, "strong", scopes=ADMIN_SCOPES)

    less = ask(client, bearer(token), kind="admin", name="a", scopes=["read"])
    more = ask(client, bearer(token), kind="admin", name="b", scopes=["read", "erase"])
    rotated = client.post(f"{KEYS}/{strong_id}/rotate", headers=bearer(token))

    assert less.status_code == 201
    check_problem(more, 403, "scope_missing")
    check_problem(rotated, 403, "scope_missing")


def test_rotation_keeps_both_tokens_valid_until_the_grace_is_over(
    client: FlaskClient, engine: Engine, app_at: AppAt, admin: Headers
) -> None:
    key_id, old = make(engine, ADMIN, "reports", scopes=("admin",))

    answer = client.post(f"{KEYS}/{key_id}/rotate?grace_s=60", headers=admin)
    new = body(answer)["key"]
    later = app_at(61)

    assert answer.status_code == 201
    assert (body(answer)["name"], body(answer)["scopes"]) == ("reports", ["admin"])
    for token in (old, new):
        assert client.get(KEYS, headers=bearer(token)).status_code == 200
    check_problem(later.get(KEYS, headers=bearer(old)), 401, "token_expired")
    assert later.get(KEYS, headers=bearer(new)).status_code == 200


def test_a_third_token_of_a_name_is_refused_until_one_is_revoked(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    key_id, _ = make(engine, ADMIN, "reports", scopes=("read",))
    second = body(client.post(f"{KEYS}/{key_id}/rotate", headers=admin))["key_id"]

    third = client.post(f"{KEYS}/{second}/rotate", headers=admin)
    again = ask(client, admin, kind="admin", name="reports", scopes=["read"])
    client.delete(f"{KEYS}/{key_id}", headers=admin)
    after = client.post(f"{KEYS}/{second}/rotate", headers=admin)

    check_problem(third, 409, "already_rotated")
    check_problem(again, 409, "name_taken")
    assert after.status_code == 201


def test_a_rotated_token_lives_as_long_as_the_one_before_was_meant_to(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    key_id, _ = make(engine, ADMIN, "month", scopes=("read",), expires_at=NOW + timedelta(days=30))

    answer = body(client.post(f"{KEYS}/{key_id}/rotate", headers=admin))

    assert answer["expires_at"] == "2026-04-14T12:00:00+00:00"
    old = body(client.get(f"{KEYS}/{key_id}", headers=admin))
    assert old["expires_at"] == "2026-03-16T12:00:00+00:00"


def test_a_write_key_does_not_rotate(client: FlaskClient, engine: Engine, admin: Headers) -> None:
    key_id, _ = make(engine)

    check_problem(client.post(f"{KEYS}/{key_id}/rotate", headers=admin), 409, "not_rotatable")


def test_a_revoked_token_stops_at_once_and_revoking_again_changes_nothing(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    key_id, token = make(engine, ADMIN, "gone", scopes=("admin",))

    first = client.delete(f"{KEYS}/{key_id}", headers=admin)
    again = client.delete(f"{KEYS}/{key_id}", headers=admin)

    assert (first.status_code, body(first)["status"]) == (200, "revoked")
    assert body(again) == body(first)
    check_problem(client.get(KEYS, headers=bearer(token)), 401, "token_revoked")


def test_the_last_token_that_can_make_tokens_stays(client: FlaskClient, engine: Engine) -> None:
    last_id, last = make(engine, ADMIN, "last", scopes=("admin",))
    make(engine, ADMIN, "reader", scopes=("read",))
    make(engine, ADMIN, "over", scopes=("admin",), expires_at=NOW)

    check_problem(client.delete(f"{KEYS}/{last_id}", headers=bearer(last)), 409, "last_admin_token")
    make(engine, ADMIN, "next", scopes=("admin",))
    assert client.delete(f"{KEYS}/{last_id}", headers=bearer(last)).status_code == 200


def test_the_use_of_a_token_is_noted_to_the_minute(
    client: FlaskClient, engine: Engine, app_at: AppAt
) -> None:
    key_id, token = make(engine, ADMIN, "used", scopes=("admin",))

    def used(app: FlaskClient) -> Any:
        app.get(KEYS, headers=bearer(token))
        return body(app.get(f"{KEYS}/{key_id}", headers=bearer(token)))["last_used_at"]

    assert used(client) == "2026-03-15T12:00:00+00:00"
    assert used(app_at(59)) == "2026-03-15T12:00:00+00:00"
    assert used(app_at(60)) == "2026-03-15T12:01:00+00:00"


def test_a_use_costs_one_write_a_minute_however_often_a_token_is_used(
    client: FlaskClient, engine: Engine
) -> None:
    _, token = make(engine, ADMIN, "used", scopes=("admin",))
    writes: list[str] = []
    with client.application.app_context():
        web = db.engine

    @event.listens_for(web, "before_cursor_execute")
    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith("UPDATE"):
            writes.append(statement)

    for _ in range(5):
        client.get(KEYS, headers=bearer(token))

    assert len(writes) == 1


def test_a_database_that_only_reads_answers_nevertheless(
    client: FlaskClient, engine: Engine
) -> None:
    _, token = make(engine, ADMIN, "used", scopes=("admin",))
    with transaction(engine) as session:
        session.execute(text("ALTER DATABASE millrace SET default_transaction_read_only = on"))
    try:
        answer = client.get(KEYS, headers=bearer(token))
    finally:
        with transaction(engine) as session:
            session.execute(text("SET TRANSACTION READ WRITE"))
            session.execute(text("ALTER DATABASE millrace RESET default_transaction_read_only"))

    assert answer.status_code == 200
    assert body(answer)["keys"][0]["last_used_at"] is None


def stored_sources(drainer: Drainer, session: Session) -> list[str | None]:
    drainer.drain()
    return list(session.scalars(select(Event.source).order_by(Event.product_id)))


def test_a_keys_source_fills_events_that_name_none(
    client: FlaskClient, engine: Engine, drainer: Drainer, session: Session
) -> None:
    _, key = make(engine, source="kiosk")

    client.post(
        URL,
        json={"events": [{**VIEW, "source": "web"}, {**VIEW, "product_id": "p2"}]},
        headers={"X-Write-Key": key},
    )

    assert stored_sources(drainer, session) == ["web", "kiosk"]


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        (["https://shop.example"], "https://shop.example", 201),
        (["https://shop.example"], "https://SHOP.example", 201),
        (["https://shop.example"], None, 201),
        (["https://shop.example"], "http://shop.example", 403),
        (["https://shop.example"], "https://shop.example:8443", 403),
        (["https://shop.example"], "https://shop.example.evil.example", 403),
        (["https://shop.example"], "https://a.shop.example", 403),
        (["https://shop.example"], "null", 403),
        (["https://shop.example"], "", 403),
        (["https://shop.example", "*"], "https://evil.example", 201),
        ([], "https://anywhere.example", 201),
    ],
)
def test_a_key_is_for_the_pages_it_names(
    client: FlaskClient, engine: Engine, allowed: list[str], origin: str | None, status: int
) -> None:
    _, key = make(engine, allowed_origins=allowed)
    headers = {"X-Write-Key": key} | ({} if origin is None else {"Origin": origin})

    answer = client.post(URL, json=VIEW, headers=headers)

    assert answer.status_code == status
    if status == 403:
        check_problem(answer, 403, "origin_not_allowed")


def test_a_write_key_that_has_expired_is_401(app_at: AppAt, engine: Engine) -> None:
    _, key = make(engine, expires_at=NOW + timedelta(seconds=1))

    before = app_at(0).post(URL, json=VIEW, headers={"X-Write-Key": key})
    after = app_at(1).post(URL, json=VIEW, headers={"X-Write-Key": key})

    assert before.status_code == 201
    check_problem(after, 401, "key_expired")


def test_a_revoked_write_key_is_not_among_those_read_again(engine: Engine) -> None:
    key_id, key = make(engine)
    keys = WriteKeys(engine)
    assert keys.find(key) is not None

    with transaction(engine) as session:
        revoke_key(session, session.get_one(ApiKey, key_id), now=NOW)
    keys.refresh()

    assert keys.find(key) is None


def test_an_admin_token_is_no_write_key(client: FlaskClient, admin: Headers) -> None:
    token = admin["Authorization"].removeprefix("Bearer ")

    answer = client.post(URL, json=VIEW, headers={"X-Write-Key": token})

    check_problem(answer, 401, "invalid_key")


def test_where_a_key_is_required_every_door_asks_for_it(app_with: AppWith, write_key: str) -> None:
    client = app_with(require_key=True)

    for path in OUR_DOORS:
        check_problem(client.post(path, json=VIEW), 401, "key_required")
    assert client.post(URL, json=VIEW, headers={"X-Write-Key": write_key}).status_code == 201
