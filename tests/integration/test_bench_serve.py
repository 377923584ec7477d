"""`bench serve`: requests as people would make them, at the rate that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from bench.serve import MIX, measure, questions
from cli.bench_serve import web_server
from cli.main import millrace
from cli.servers.environment import environment_of
from cli.stack import ARENAS
from settings import Settings
from tests.builders import store_events
from tests.integration.test_recommendations import catalogue, look, numbered


@pytest.fixture
def served(settings: Settings, engine: Engine) -> Iterator[Settings]:
    """Give the settings of a web server that runs beside the test."""
    catalogue(engine, *numbered(20))
    store_events(engine, *(look(f"p{n:03d}", f"u/{n % 3}") for n in range(20)))
    with web_server(settings) as running:
        yield running


def test_every_request_is_answered_and_counted(served: Settings, engine: Engine) -> None:
    asked = questions(engine, 200, seed=1)
    done: list[int] = []

    timings = measure(served.host, served.port, asked, rate=1000, warm_up=50, advance=done.append)

    assert len(done) == 200
    assert sum(timing.requests for timing in timings) == 150
    assert {timing.kind for timing in timings} == set(MIX)
    assert [timing.errors for timing in timings] == [0] * len(timings)
    assert all(timing.p50_ms <= timing.p90_ms <= timing.p99_ms for timing in timings)


def test_the_web_server_runs_in_the_environment_of_run(served: Settings) -> None:
    servers = [child for child in psutil.Process().children() if "serve" in child.cmdline()]

    (server,) = servers
    assert ARENAS.items() <= server.environ().items()


def test_an_answer_that_is_no_list_is_an_error(served: Settings, engine: Engine) -> None:
    asked = [item for item in questions(engine, 50, seed=1) if item.kind == "popular"]
    broken = [type(item)(item.kind, item.path + "?n=0") for item in asked]

    (timing,) = measure(
        served.host, served.port, broken, rate=1000, warm_up=0, advance=lambda _: None
    )

    assert (timing.errors, timing.ok) == (len(broken), False)


def test_the_command_prints_one_object(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("cli.bench_serve.WARM_UP_S", 0)
    catalogue(engine, *numbered(3))

    result = CliRunner().invoke(
        millrace, ["bench", "serve", "--rate", "50", "--seconds", "1", "--json"]
    )

    assert result.exit_code == 0, result.output
    assert '"rate":50.0' in result.stdout
