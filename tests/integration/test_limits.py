"""Rate limits: of the reading API by caller, of write keys by events; with and without Redis."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.breaker import Breaker
from app.errors import Problem
from app.key_limits import KeyLimits
from inbox import connect
from models.api_keys import ADMIN, WRITE, create_key
from models.database import transaction
from models.key_changes import issue_key
from settings import Settings
from tasks.ingest import Drainer
from tests.builders import NOW, body, count_events
from tests.integration.test_door import URL, VIEW, check_problem

AppWith = Callable[..., FlaskClient]
READ = "/api/model/info"


@pytest.fixture
def silent_redis() -> Iterator[str]:
    """Give the address of a server that takes connections and never answers."""
    with TemporaryDirectory(prefix="mr-") as folder, socket.socket(socket.AF_UNIX) as listening:
        path = Path(folder) / "silent.sock"
        listening.bind(str(path))
        listening.listen(64)
        yield f"unix://{path}"


@pytest.fixture
def limited_key(engine: Engine) -> str:
    """Make a write key of 5 events a minute."""
    with transaction(engine) as session:
        _, key = issue_key(session, kind=WRITE, name="slow", now=NOW, rate_limit=5)
    return key


def from_address(client: FlaskClient, address: str, path: str = READ, **headers: str) -> Any:
    return client.get(path, headers=headers, environ_base={"REMOTE_ADDR": address})


def test_an_address_may_ask_so_often_and_is_told_what_is_left(app_with: AppWith) -> None:
    client = app_with(rate_limit="2/hour")

    answers = [from_address(client, "192.0.2.1") for _ in range(3)]
    other = from_address(client, "192.0.2.2")

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    check_problem(answers[2], 429, "too_many_requests")
    assert "2 per 1 hour" in body(answers[2])["detail"]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 3600
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[0].headers["RateLimit-Limit"] == "2"
    assert "Retry-After" not in answers[0].headers
    assert other.status_code == 200


def test_a_token_has_a_share_of_its_own_wherever_it_comes_from(
    app_with: AppWith, admin: dict[str, str]
) -> None:
    client = app_with(rate_limit="2/hour")
    path = "/api/keys"

    answers = [from_address(client, f"192.0.2.{n}", path, **admin) for n in range(3)]
    nobody = from_address(client, "192.0.2.1", path)

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    check_problem(nobody, 401, "token_required")


def test_wrong_tokens_count_by_address(app_with: AppWith) -> None:
    client = app_with(rate_limit="2/hour")

    answers = [
        from_address(client, "192.0.2.1", "/api/keys", Authorization=f"Bearer at_{n}")
        for n in range(3)
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_two_processes_count_together(app_with: AppWith) -> None:
    answers = [
        from_address(app_with(rate_limit="2/hour"), "192.0.2.1").status_code for _ in range(3)
    ]

    assert answers == [200, 200, 429]


def test_what_machines_ask_and_what_clients_send_is_not_limited(app_with: AppWith) -> None:
    client = app_with(rate_limit="1/hour")
    from_address(client, "127.0.0.1")

    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        answer = from_address(client, "127.0.0.1", path)
        assert answer.status_code == 200
        assert "RateLimit-Limit" not in answer.headers
    assert client.post(URL, json=VIEW).status_code == 201


@pytest.mark.parametrize("redis_url", ["redis://127.0.0.1:1/0", "silent"])
def test_without_redis_the_limit_holds_and_nothing_fails(
    app_with: AppWith, silent_redis: str, redis_url: str
) -> None:
    url = silent_redis if redis_url == "silent" else redis_url
    client = app_with(rate_limit="2/hour", redis_url=url)

    answers = [from_address(client, "192.0.2.1") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) >= 1


def test_a_limited_key_sends_its_share_and_then_waits(
    client: FlaskClient, limited_key: str, drainer: Drainer, session: Session
) -> None:
    def send(count: int) -> Any:
        return client.post(
            URL, json={"events": [VIEW] * count}, headers={"X-Write-Key": limited_key}
        )

    first, second, third = send(3), send(3), send(2)
    fourth = send(1)

    assert [first.status_code, second.status_code, third.status_code] == [201, 429, 201]
    check_problem(second, 429, "rate_limited")
    check_problem(fourth, 429, "rate_limited")
    assert 1 <= int(second.headers["Retry-After"]) <= 60
    drainer.drain()
    assert count_events(session) == 5


def test_rejected_events_and_other_keys_cost_nothing(
    client: FlaskClient, limited_key: str, write_key: str
) -> None:
    slow, other = {"X-Write-Key": limited_key}, {"X-Write-Key": write_key}

    for _ in range(6):
        client.post(URL, json={"event_type": ""}, headers=slow)
        assert client.post(URL, json=VIEW, headers=other).status_code == 201

    assert client.post(URL, json=VIEW, headers=slow).status_code == 201


def test_two_processes_count_a_keys_events_together(redis_client: redis.Redis) -> None:
    for _ in range(5):
        KeyLimits(redis_client).spend("k", 1, limit=5)

    with pytest.raises(Problem, match="5 events a minute"):
        KeyLimits(redis_client).spend("k", 1, limit=5)


@pytest.mark.parametrize("redis_url", ["redis://127.0.0.1:1/0", "silent"])
def test_without_redis_a_process_counts_a_keys_events_for_itself(
    silent_redis: str, redis_url: str
) -> None:
    url = silent_redis if redis_url == "silent" else redis_url
    limits = KeyLimits(connect(url, timeout_s=0.05))

    for _ in range(5):
        limits.spend("k", 1, limit=5)

    with pytest.raises(Problem):
        limits.spend("k", 1, limit=5)


def test_redis_is_asked_again_when_the_inbox_is_back(settings: Settings, silent_redis: str) -> None:
    breaker = Breaker()
    client = connect(silent_redis, timeout_s=0.05)
    limits = KeyLimits(client, breaker)
    limits.spend("k", 5, limit=5)
    client.connection_pool.connection_kwargs["path"] = urlsplit(settings.redis_url).path
    client.connection_pool.reset()

    with pytest.raises(Problem):
        limits.spend("k", 1, limit=5)
    breaker.close()

    limits.spend("k", 5, limit=5)


def test_a_limit_that_is_none_is_refused_at_the_start(app_with: AppWith) -> None:
    with pytest.raises(ValueError, match="API_RATE_LIMIT"):
        app_with(rate_limit="often")


def test_admin_tokens_of_one_name_have_one_share_each(app_with: AppWith, engine: Engine) -> None:
    client = app_with(rate_limit="1/hour")
    with transaction(engine) as session:
        tokens = [create_key(session, kind=ADMIN, name="twin", scopes=("admin",)) for _ in range(2)]

    answers = [
        from_address(client, "192.0.2.1", "/api/keys", Authorization=f"Bearer {token}")
        for token in tokens
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
