"""Break the bytes of the served model under load: the one before serves, and all say so."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from cli.servers.secrets import ensure_secrets
from cli.stack import ROOT, environment_for
from models.database import transaction
from models.invariants import check_invariants
from models.model_artefacts import ModelArtefact, read_champion
from models.model_promotions import Authority, read_promotion, record_promotion
from tests.faults.conftest import Judge
from tests.faults.recorder import Recorder, load
from tests.faults.system import HOST, System
from tests.faults.timetable import look, wait_for
from tests.integration.test_training import fill_shop, train

BREAKS = {
    "flipped": "set_byte(content, length(content) / 2, get_byte(content, length(content) / 2) # 1)",
    "truncated": "substring(content FROM 1 FOR length(content) / 2)",
    "missing": "''",
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS.keys())
def test_model_bytes(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int, broken: str
) -> None:
    before, served = _two_models(system)
    with load(HOST, port, recorder, seed=seed, clients=2), _broken(system, served, broken):
        # Whoever has it in memory serves it on; whoever starts now finds it broken.
        held = _info(port)
        system.kill("web")
        system.start("web")
        system.wait_until_ready()
        wait_for(system, "another model", lambda: _info(port).get("version") == before)
        found = _info(port)
        shown = _ask(port, "/api/recommendations/user/u00?n=5")
        invariants = check_invariants(system.engine, system.client, zone="UTC")
        doctor = _doctor(system)
    wait_for(system, "the model again", lambda: _serves_again(system, port, served))
    verdict = judge("of the served model; the web killed once", kills=1)

    assert verdict.ok, verdict
    assert held["version"] == served
    assert (found["status"], found["refused"]["version"]) == ("serving", served)
    assert found["refused"]["reason"]
    assert len(shown["recommendations"]) == 5
    assert [item.id for item in invariants if not item.ok and item.id == "I10"] == ["I10"]
    assert "./millrace models rollback" in doctor


def test_model_row_missing(
    system: System, recorder: Recorder, judge: Judge, port: int, seed: int
) -> None:
    before, served = _two_models(system)
    with load(HOST, port, recorder, seed=seed, clients=2):
        with system.engine.begin() as connection:
            connection.execute(
                text("DELETE FROM model_artefacts WHERE version = :version"), {"version": served}
            )
        system.kill("web")
        system.start("web")
        system.wait_until_ready()
        wait_for(system, "another model", lambda: _info(port).get("version") == before)
        shown = _ask(port, "/api/recommendations/user/u00?n=5")
        refused = _info(port)["refused"]
        invariants = check_invariants(system.engine, system.client, zone="UTC")
        doctor = _doctor(system)
    with transaction(system.engine) as session:
        _promote(session, before)
    verdict = judge("of the served model; the web killed once", kills=1)

    assert verdict.ok, verdict
    assert len(shown["recommendations"]) == 5
    assert refused["version"] == served
    assert [item.id for item in invariants if not item.ok and item.id == "I10"] == ["I10"]
    assert "./millrace models rollback" in doctor


def _two_models(system: System) -> tuple[int, int]:
    """Let two models be promoted one after the other; give their versions."""
    if not look(system, "SELECT 1 FROM model_artefacts"):
        fill_shop(system.engine)
        assert train(system.engine)["status"] == "promoted"
    with transaction(system.engine) as session:
        first = read_champion(session)
        assert first is not None
        made = ModelArtefact(
            run_id=first.run_id,
            created_at=datetime.now(UTC),
            sha256=first.sha256,
            manifest=first.manifest,
            content=first.content,
            size_bytes=first.size_bytes,
        )
        session.add(made)
        session.flush()
        _promote(session, made.version)
        versions = first.version, made.version
    system.wait_until_ready()
    wait_for(
        system, "the new model", lambda: _info(system.settings.port).get("version") == versions[1]
    )
    return versions


def _promote(session: Session, version: int) -> None:
    before = read_promotion(session)
    record_promotion(
        session,
        version,
        Authority("test", "another one", datetime.now(UTC)),
        previous_id=before.promotion_id if before else None,
    )


@contextmanager
def _broken(system: System, version: int, expression: str) -> Iterator[None]:
    """Change the bytes of a model, and put them back."""
    ((content,),) = look(
        system, "SELECT content FROM model_artefacts WHERE version = :version", version=version
    )
    _write(system, version, expression)
    try:
        yield
    finally:
        _write(system, version, ":content", content=content)


def _write(system: System, version: int, expression: str, **values: Any) -> None:
    with system.engine.begin() as connection:
        connection.execute(
            text(f"UPDATE model_artefacts SET content = {expression} WHERE version = :version"),
            {"version": version, **values},
        )


def _serves_again(system: System, port: int, version: int) -> bool:
    """Start the web again: a model that was refused is looked at anew by a new process."""
    if _info(port).get("version") == version:
        return True
    system.kill("web")
    system.start("web")
    system.wait_until_ready()
    time.sleep(0.5)
    return bool(_info(port).get("version") == version)


def _info(port: int) -> dict[str, Any]:
    return _ask(port, "/api/model/info")


def _ask(port: int, path: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        found: dict[str, Any] = orjson.loads(content)
        return found
    finally:
        connection.close()


def _doctor(system: System) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", "doctor"],
        cwd=ROOT,
        env=os.environ | environment_for(system.settings, ensure_secrets(system.data_dir)),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr
