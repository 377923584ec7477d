"""A database that takes connections and answers nothing: probes say so, and events come in."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn
from sqlalchemy import Engine, text

from app.look import Look, SilentError
from app.state import State
from models.database import engine_options, transaction
from models.job_runs import record_end, record_start
from tests.builders import NOW, body
from tests.integration.test_door import URL, VIEW

AppWith = Callable[..., FlaskClient]
PROBES = 8


@contextmanager
def frozen(engine: Engine) -> Iterator[None]:
    """Stop every process of the database for a while."""
    with engine.connect() as connection:
        backend = psutil.Process(connection.scalar(text("SELECT pg_backend_pid()")))
    postmaster = backend.parent()
    assert postmaster is not None
    # The first is stopped first: then there will be no more.
    processes = [postmaster]
    try:
        postmaster.send_signal(signal.SIGSTOP)
        for process in postmaster.children():
            process.send_signal(signal.SIGSTOP)
            processes.append(process)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Give a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=PROBES) as listening:
        yield listening


def address_of(server: socket.socket) -> str:
    return f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/nowhere"


def state_of(app: Flask) -> State:
    found: State = app.extensions["millrace"]
    return found


def test_probes_say_that_the_database_is_frozen_and_that_it_is_back(
    app: Flask, client: FlaskClient, engine: Engine
) -> None:
    before = client.get("/readyz")

    with frozen(engine):
        ready = client.get("/readyz")
        figures = client.get("/metrics")
        event = client.post(URL, json=VIEW)
    # The look that is under way ends when the database goes on.
    answers = (client.get("/readyz") for _ in range(10_000))
    after = next(answer for answer in answers if answer.status_code == 200)

    assert (before.status_code, ready.status_code) == (200, 503)
    assert body(after)["checks"]["database"]["ok"]
    assert body(ready)["checks"]["database"] == {"ok": False, "detail": "does not answer in 2 s"}
    assert body(ready)["checks"]["inbox"]["ok"]
    assert figures.status_code == 200
    assert "millrace_database_up 0.0" in figures.text
    assert "millrace_inbox_up 1.0" in figures.text
    assert event.status_code == 201


def test_all_probes_wait_for_one_look(app_with: AppWith, silent: socket.socket) -> None:
    client = app_with(database_url=address_of(silent))
    app = client.application
    state_of(app).readiness.within_s = 0.5

    with ThreadPoolExecutor(PROBES) as probes:
        answers = list(
            probes.map(lambda _: app.test_client().get("/readyz").status_code, range(PROBES))
        )

    assert answers == [503] * PROBES
    silent.accept()[0].close()
    silent.setblocking(False)
    with pytest.raises(BlockingIOError):
        silent.accept()


def test_a_look_is_done_anew_for_who_asks_later(app: Flask, engine: Engine) -> None:
    look = state_of(app).figures
    look.within_s = 30.0

    run = ("reconcile", "2026-03-14")

    nothing = look.ask().reconcile
    with transaction(engine) as session:
        record_start(session, *run, now=NOW)
        record_end(session, *run, status="done", outcome={"checked": 3, "drifted": 0}, now=NOW)
    found = look.ask().reconcile

    assert nothing is None
    assert found is not None
    assert found.outcome == {"checked": 3, "drifted": 0}


def test_a_silent_server_says_so(app_with: AppWith, silent: socket.socket) -> None:
    look = state_of(app_with(database_url=address_of(silent)).application).figures
    look.within_s = 0.1

    with pytest.raises(SilentError, match=r"does not answer in 0\.1 s"):
        look.ask()


def test_a_connection_ends_when_the_other_side_has_vanished(silent: socket.socket) -> None:
    options = engine_options("test")["connect_args"]
    conninfo = make_conninfo(address_of(silent), **options)

    connection = PGconn.connect_start(conninfo.encode())
    with socket.socket(fileno=os.dup(connection.socket)) as ours:
        limits = [
            ours.getsockopt(socket.IPPROTO_TCP, name)
            for name in (
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT,
            )
        ]
    connection.finish()

    assert limits == [10, 5, 3, 25_000]


def test_a_look_whose_thread_did_not_start_is_not_waited_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    look = Look(engine, lambda session: session.scalar(text("SELECT 1")), name="look")
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            look.ask()

    assert look.ask() == 1
