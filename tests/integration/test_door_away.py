"""The door when the inbox is away, silent or full: 503 with Retry-After, and never a 2xx."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis
from flask.testing import FlaskClient

import inbox
from tests.builders import body
from tests.integration.test_door import URL, VIEW, check_problem

AppWith = Callable[..., FlaskClient]


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Give the address of a server that takes connections and never answers."""
    with TemporaryDirectory(prefix="mr-") as folder, socket.socket(socket.AF_UNIX) as listening:
        path = Path(folder) / "silent.sock"
        listening.bind(str(path))
        listening.listen(64)
        yield f"unix://{path}"


def test_an_inbox_that_is_away_is_503(app_with: AppWith) -> None:
    client = app_with(redis_url="redis://127.0.0.1:1/0")

    answer = client.post(URL, json=VIEW)
    again = client.post(URL, json=VIEW)

    check_problem(answer, 503, "inbox_unavailable")
    check_problem(again, 503, "inbox_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_an_inbox_that_does_not_answer_is_503(app_with: AppWith, silent_server: str) -> None:
    answer = app_with(redis_url=silent_server, door_timeout_s=0.05).post(URL, json=VIEW)

    check_problem(answer, 503, "inbox_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_full_inbox_is_503_until_it_is_drained(
    app_with: AppWith, redis_client: redis.Redis
) -> None:
    inbox.put(redis_client, b"x" * 1000, events=1, days=[])
    full = app_with(inbox_max_bytes=500).post(URL, json=VIEW)
    redis_client.delete(inbox.STREAM)
    empty = app_with(inbox_max_bytes=500).post(URL, json=VIEW)

    check_problem(full, 503, "inbox_full")
    assert int(full.headers["Retry-After"]) > 0
    assert empty.status_code == 201


def test_a_server_near_its_memory_limit_counts_as_full(
    app_with: AppWith, redis_client: redis.Redis
) -> None:
    used = int(redis_client.info("memory")["used_memory"])
    redis_client.config_set("maxmemory", int(used * 1.1))
    try:
        answer = app_with().post(URL, json=VIEW)
    finally:
        redis_client.config_set("maxmemory", 0)

    check_problem(answer, 503, "inbox_full")


def test_a_refused_batch_is_not_in_the_inbox(app_with: AppWith, redis_client: redis.Redis) -> None:
    inbox.put(redis_client, b"x" * 1000, events=1, days=[])
    app_with(inbox_max_bytes=500).post(URL, json=VIEW)

    assert inbox.read_depth(redis_client).batches == 1


def test_readiness_says_what_is_missing(app_with: AppWith) -> None:
    client = app_with(
        redis_url="redis://127.0.0.1:1/0",
        database_url="postgresql://nobody@127.0.0.1:1/nowhere",
    )

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert [check["ok"] for check in body(answer)["checks"].values()] == [False, False]
    assert client.get("/healthz").status_code == 200
    assert client.get("/metrics").status_code == 200
