"""Real servers for the tests: a PostgreSQL and a Valkey a process, emptied in between."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import inbox
from cli.prepare import prepare
from cli.servers import start_servers
from models.api_keys import ADMIN, ADMIN_SCOPES, WRITE, create_key
from models.database import make_engine, transaction
from settings import Settings, read_settings
from tasks.ingest import Drainer
from tests.builders import NOW, empty

# The same examples on every run: a property that fails does so for everybody. To look for new
# ones: pytest --hypothesis-profile=explore. A property on the servers is their only user.
hypothesis_settings.register_profile(
    "fixed",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
hypothesis_settings.register_profile(
    "explore", hypothesis_settings.get_profile("fixed"), derandomize=False, max_examples=2000
)
hypothesis_settings.load_profile("fixed")


@pytest.fixture(scope="session")
def server_settings() -> Iterator[Settings]:
    """Start the servers once and bring the schema to its newest revision."""
    # The directory pytest gives is too deep for Unix sockets.
    folder = Path(tempfile.mkdtemp(prefix="mr-"))
    try:
        with start_servers(folder, fast=True) as servers:
            settings = read_settings(
                {
                    "DATABASE_URL": servers.database_url,
                    "REDIS_URL": servers.redis_url,
                    "SECRET_KEY": "only for tests",
                    "ANALYTICS_JWT_SECRET": "the host application's secret, 32 bytes",
                    "API_RATE_LIMIT": "",
                    "INGEST_SPOOL": "off",
                    # A machine that is busy with tests may keep a request waiting.
                    "INGEST_TIMEOUT_S": "5",
                }
            )
            prepare(settings, now=NOW)
            yield settings
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_engine(server_settings: Settings) -> Iterator[Engine]:
    """Give one engine to all tests of the process."""
    engine = make_engine(server_settings.sqlalchemy_url, application="tests")
    yield engine
    engine.dispose()


@pytest.fixture
def settings(server_settings: Settings, shared_engine: Engine) -> Settings:
    """Give the settings of empty servers."""
    # For a few rows this is much faster than TRUNCATE, and waits for nobody who reads.
    empty(shared_engine)
    client = inbox.connect(server_settings.redis_url)
    client.flushdb()
    client.close()
    return server_settings


@pytest.fixture
def engine(settings: Settings, shared_engine: Engine) -> Engine:
    """Give an engine on an empty database."""
    return shared_engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """Give a session whose work is rolled back, unless the test commits."""
    with Session(engine, expire_on_commit=False) as opened:
        yield opened


@pytest.fixture
def redis_client(settings: Settings) -> Iterator[redis.Redis]:
    """Give a client of the empty inbox server, its group made."""
    client = inbox.connect(settings.redis_url, timeout_s=5.0)
    inbox.ensure_group(client)
    yield client
    client.close()


@pytest.fixture
def drainer(settings: Settings, engine: Engine, redis_client: redis.Redis) -> Drainer:
    """Give a drainer that takes over abandoned batches at once."""
    return Drainer(
        engine=engine,
        client=redis_client,
        consumer="test",
        reclaim_s=0.0,
        secret_key=settings.secret_key,
    )


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """Give the app on empty servers, at the time of the tests."""
    from app.database import db
    from app.factory import create_app

    made = create_app(settings, clock=NOW.timestamp)
    # The machine may be busy with other tests while the database is there.
    made.extensions["millrace"].write_keys.patience_s = 30.0
    # No context around it: a request would share its session with the next one.
    yield made
    made.extensions["millrace"].close()
    with made.app_context():
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Give a client of the app."""
    return app.test_client()


@pytest.fixture
def app_with(settings: Settings) -> Iterator[Callable[..., FlaskClient]]:
    """Give a function that makes an app with other settings or another clock; gives its client."""
    from app.database import db
    from app.factory import create_app

    made: list[Flask] = []

    def make(clock: Callable[[], float] = NOW.timestamp, **changes: Any) -> FlaskClient:
        made.append(create_app(replace(settings, **changes), clock=clock))
        return made[-1].test_client()

    yield make
    for each in made:
        each.extensions["millrace"].close()
        with each.app_context():
            db.engine.dispose()


@pytest.fixture
def write_key(engine: Engine) -> str:
    """Make a write key."""
    with transaction(engine) as session:
        return create_key(session, kind=WRITE, name="test")


@pytest.fixture
def admin(engine: Engine) -> dict[str, str]:
    """Make an admin token with every scope; give it as a header."""
    with transaction(engine) as session:
        token = create_key(session, kind=ADMIN, name="test", scopes=ADMIN_SCOPES)
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def post(client: FlaskClient) -> Callable[..., Any]:
    """Give a function that posts events and gives the answer."""

    def send(*events: dict[str, Any], **kwargs: Any) -> Any:
        body = events[0] if len(events) == 1 else {"events": list(events)}
        return client.post("/api/v1/analytics/events/", json=body, **kwargs)

    return send
