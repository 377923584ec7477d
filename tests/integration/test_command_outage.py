"""Commands whose servers are away name the server and the setting, in one line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from cli import main
from cli.outage import naming_servers
from cli.servers import ServerError
from cli.servers.environment import environment_of
from settings import Settings

Check = Callable[..., str]


@pytest.fixture
def check(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Check:
    """Give a function that runs `check` with a variable of the environment; gives its words."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)

    def call(name: str, value: str) -> str:
        monkeypatch.setenv(name, value)
        assert main.main(["check"]) == 1
        return capsys.readouterr().err

    return call


def test_check_names_redis_and_its_setting(check: Check) -> None:
    said = check("REDIS_URL", "redis://:secret@127.0.0.1:1/0")

    assert said == (
        "Error: Redis cannot be used: Error 111 connecting to 127.0.0.1:1. Connection refused. "
        "Start it, or set REDIS_URL to the server that runs; `./millrace doctor` looks further.\n"
    )


def test_check_names_postgresql_and_its_setting(check: Check) -> None:
    said = check("DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/nowhere")

    assert said.startswith("Error: PostgreSQL cannot be used: connection failed: ")
    assert "set DATABASE_URL to the server that runs" in said
    assert "secret" not in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("error", [RedisTimeoutError("Timeout"), RedisConnectionError()])
def test_a_redis_that_is_silent_is_named_too(error: Exception) -> None:
    wanted = r"^Redis cannot be used: (Timeout|ConnectionError)\. Start it"

    with pytest.raises(ServerError, match=wanted), naming_servers():
        raise error


def test_a_statement_that_fails_is_no_outage(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 1"))

        with pytest.raises(OperationalError, match="statement timeout"), naming_servers():
            connection.execute(text("SELECT pg_sleep(10)"))


def test_a_connection_that_is_ended_is_an_outage(engine: Engine) -> None:
    with engine.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        with pytest.raises(ServerError, match=r"^PostgreSQL cannot be used: "), naming_servers():
            connection.execute(text("SELECT 1"))
