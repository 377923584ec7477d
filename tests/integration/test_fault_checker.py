"""The checker of the faults: it sees what is lost, stored twice or leaked."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.dead_letters import DeadLetter
from tests.builders import NOW_MS, store_events, uuid7_at
from tests.faults.checker import Verdict, check
from tests.faults.proxy import Proxy
from tests.faults.recorder import Recorder
from tests.faults.report import Fault, Report, write_table

FIRST, SECOND = uuid7_at(NOW_MS, 1), uuid7_at(NOW_MS, 2)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """Give an empty log."""
    return Recorder(tmp_path / "client.jsonl")


def _store(engine: Engine, *ids: str) -> None:
    store_events(engine, *({"event_type": "page_view", "event_id": each} for each in ids))


def _broken(verdict: Verdict) -> set[str]:
    return {item.id for item in verdict.broken}


def test_all_is_well(engine: Engine, redis_client: redis.Redis, recorder: Recorder) -> None:
    recorder.note([FIRST, SECOND], 1, "lost")
    recorder.note([FIRST, SECOND], 2, 201)
    _store(engine, FIRST, SECOND)

    verdict = check(recorder, engine, redis_client)

    assert verdict.ok, verdict
    assert (verdict.accepted, verdict.stored, verdict.unanswered) == (2, 2, 0)


def test_an_accepted_event_that_is_not_there_is_lost(
    engine: Engine, redis_client: redis.Redis, recorder: Recorder
) -> None:
    recorder.note([FIRST], 1, 201)
    recorder.note([FIRST], 2, 503)
    recorder.note([SECOND], 1, 201)
    _store(engine, SECOND)

    verdict = check(recorder, engine, redis_client)

    assert (verdict.accepted, verdict.stored, verdict.lost) == (2, 1, 1)
    assert _broken(verdict) == {"I1"}


def test_an_event_that_was_purged_on_purpose_is_not_lost(
    engine: Engine, redis_client: redis.Redis, recorder: Recorder
) -> None:
    recorder.note([FIRST], 1, 201)

    assert check(recorder, engine, redis_client, gone=[FIRST]).ok


def test_an_event_without_an_answer_may_be_stored_or_not(
    engine: Engine, redis_client: redis.Redis, recorder: Recorder
) -> None:
    recorder.note([FIRST], 1, "lost")
    recorder.note([SECOND], 1, 503)
    _store(engine, FIRST)

    verdict = check(recorder, engine, redis_client)

    assert verdict.ok, verdict
    assert (verdict.unanswered, verdict.late) == (2, 1)


def test_an_event_that_is_a_dead_letter_too_is_there_twice(
    engine: Engine, redis_client: redis.Redis, recorder: Recorder
) -> None:
    recorder.note([FIRST], 1, 201)
    _store(engine, FIRST)
    with Session(engine) as session:
        session.add(DeadLetter(event_id=FIRST, reason="refused", detail="", event="{}"))
        session.commit()

    verdict = check(recorder, engine, redis_client)

    assert (verdict.twice, _broken(verdict)) == (1, {"I2"})


def test_a_rejected_event_that_is_stored_is_seen(
    engine: Engine, redis_client: redis.Redis, recorder: Recorder
) -> None:
    recorder.note([FIRST, SECOND], 1, 201, [SECOND])
    _store(engine, FIRST, SECOND)

    verdict = check(recorder, engine, redis_client)

    assert (verdict.accepted, verdict.rejected, _broken(verdict)) == (1, 1, {"I7"})


def test_the_table_in_a_document_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "r.md"
    document.write_text("before\n<!-- faults -->\nold\n<!-- /faults -->\nafter\n")
    report = Report(
        seed=7, size="usual", faults=[Fault.failed("web", "it did not start", seconds=2)]
    )

    write_table(report.as_dict(), document)
    write_table(report.as_dict(), document)

    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("<!-- /faults -->\nafter\n")
    assert text.count("| web | it did not start | 0 |") == 1
    assert "old" not in text


@pytest.fixture
def echo() -> socket.socket:
    """Give a listening socket."""
    return socket.create_server(("127.0.0.1", 0))


def test_a_proxy_carries_and_loses_answers(echo: socket.socket) -> None:
    with echo:
        proxy = Proxy(echo.getsockname())
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
            server, _ = echo.accept()
            with server:
                client.sendall(b"ping")
                assert server.recv(10) == b"ping"
                server.sendall(b"pong")
                assert client.recv(10) == b"pong"
                with proxy.being(loses_answers=1.0):
                    client.sendall(b"again")
                    assert server.recv(10) == b"again"
                    server.sendall(b"lost")
                    assert client.recv(10) == b""
        proxy.close()
