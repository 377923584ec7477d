"""The page docs/features.md shows what the requests and commands on it really give.

After a change that is meant: `MILLRACE_WRITE_FEATURES=1` and this test put the new output into
the page, for a person to read before it is committed.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine

from app.database import db
from app.factory import create_app
from cli.main import main
from cli.servers.environment import environment_of
from models.database import transaction
from models.erasures import read_unfinished
from settings import Settings, read_settings
from tasks import erase, jobs
from tasks.ingest import Drainer
from tasks.reconcile import reconcile
from tests.builders import NOW
from tests.features import PAGE, Runner, agrees, read_steps, rewrite


@pytest.fixture
def runner(
    settings: Settings,
    engine: Engine,
    redis_client: redis.Redis,
    drainer: Drainer,
    admin: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Iterator[Runner]:
    """Give somebody who tries one thing after the other on an empty installation."""
    environment = {**environment_of(settings), "API_RATE_LIMIT": ""}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    rugs = [f"rug-{size},Wool rug {size} cm,{size}.50\n" for size in range(60, 260, 10)]
    Path("products.csv").write_text("product_id,name,price\n" + "".join(rugs))
    Path("archive").mkdir()
    Path("archive", "1.ndjson").write_text(
        '{"type": "track", "event": "Product Viewed", "messageId": "m-1", "anonymousId": "a-1", '
        '"properties": {"product_id": "lamp"}, "timestamp": "2026-03-15T09:00:00Z"}'
    )
    apps = []

    def client_with(variables: dict[str, str]) -> FlaskClient:
        apps.append(create_app(read_settings(environment | variables), clock=NOW.timestamp))
        return apps[-1].test_client()

    def command(line: str) -> str:
        capsys.readouterr()
        program, *arguments = shlex.split(line)
        if program == "celery":
            call(arguments[-1])
        else:
            with suppress(SystemExit):
                main(arguments)
        printed = capsys.readouterr()
        return printed.out

    def call(task: str) -> None:
        assert task == jobs.RECONCILE.task
        period = jobs.RECONCILE.last_period(NOW)
        day = NOW.date()
        work = partial(reconcile, engine, day=day, zone=settings.report_timezone)
        assert jobs.run_job(engine, jobs.RECONCILE.job, period, work, clock=lambda: NOW)

    def settle() -> None:
        drainer.drain()
        with transaction(engine) as session:
            erasures = read_unfinished(session)
        for erasure_id in erasures:
            erase.erase(
                engine,
                redis_client,
                erasure_id,
                secret_key=settings.secret_key,
                zone=settings.report_timezone,
                clock=lambda: NOW,
            )

    yield Runner(client_with, admin, command, settle)
    for app in apps:
        app.extensions["millrace"].close()
        with app.app_context():
            db.engine.dispose()


def test_every_request_and_command_of_the_page_gives_what_it_shows(runner: Runner) -> None:
    page = PAGE.read_text()
    steps = read_steps(page)
    outputs = [runner.run(step) for step in steps]

    if os.environ.get("MILLRACE_WRITE_FEATURES"):
        PAGE.write_text(rewrite(page, iter(outputs)))
    differing = [
        (step.title, step.shown, real)
        for step, real in zip(steps, outputs, strict=True)
        if not agrees(step.shown, real)
    ]
    assert differing == []


def test_every_row_of_the_table_leads_to_a_part_that_shows_it() -> None:
    page = PAGE.read_text()
    shown = re.findall(r"\]\(#([\w-]+)\)", page)
    parts = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", page, re.M)
    }

    assert len(shown) > 40
    assert set(shown) <= parts
