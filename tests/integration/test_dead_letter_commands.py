"""`./millrace dead-letters`: what the endpoints do, by hand; and what the doctor says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from cli import main
from cli.doctor.finding import OK, WARNING, Patient
from cli.doctor.services import check_database
from cli.servers.environment import environment_of
from models.dead_letters import DeadLetter
from models.events import Event
from settings import Settings
from tests.builders import NOW_MS, crafted, store, uuid7_at

Run = Callable[..., str]
ID = uuid7_at(NOW_MS)


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Give a function that runs `dead-letters` with arguments; gives what it says."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main.main(["dead-letters", *arguments]) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    return call


@pytest.fixture
def dead(engine: Engine) -> str:
    """Let the database refuse two events; give the first letter's id."""
    bad = {"quantity": 2**31, "product_id": "lamp"}
    rows = ({"event_id": ID, **bad}, {"event_id": uuid7_at(NOW_MS, 2), **bad})
    assert store(engine, crafted(*rows)).dead == 2
    return ID


def count(session: Session, table: Any) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_letter_is_found_mended_and_replayed_by_hand(
    run: Run, dead: str, session: Session
) -> None:
    listed = json.loads(run("list", "--reason", "refused", "--json"))
    would = json.loads(run("edit", dead, '{"quantity": 2}', "--dry-run"))
    before = json.loads(run("show", dead))
    run("edit", dead, '{"quantity": 2}')
    dry = run("replay", "--reason", "refused", "--dry-run")
    still = count(session, Event)
    said = run("replay", "--reason", "refused")

    assert {letter["event_id"] for letter in listed} == {dead, uuid7_at(NOW_MS, 2)}
    assert (would["event"]["quantity"], before["event"]["quantity"]) == (2, 2**31)
    assert (dry, still) == ("would replay 2 dead letters\n", 0)
    assert said == "stored 1 event\n0 events stored before\n1 letter failed again\n"
    assert (count(session, Event), count(session, DeadLetter)) == (1, 1)
    assert "no dead letter" in run("show", dead, code=1)


def test_letters_are_given_up_by_hand(run: Run, dead: str, session: Session) -> None:
    assert run("discard", dead, "--dry-run") == "would discard 1 dead letter\n"
    assert run("discard", dead) == "discarded 1 dead letter\n"
    assert run("discard", "--all") == "discarded 1 dead letter\n"
    assert run("discard", "--all") == "discarded 0 dead letters\n"
    assert count(session, DeadLetter) == 2
    assert set(session.scalars(select(DeadLetter.discarded_by))) == {"command"}
    assert "0 of 0 dead letters" in run("list")
    assert "2 dead letters" in run("list", "--counts", "--state", "discarded")
    (reason,) = json.loads(run("list", "--counts", "--state", "any", "--json"))
    assert (reason["reason"], reason["letters"]) == ("refused", 2)


def test_what_cannot_be_done_is_refused_in_one_line(run: Run, dead: str) -> None:
    assert "name letters by their ids or a filter" in run("replay", code=2)
    assert "name letters by their ids or a filter" in run("discard", code=2)
    assert "quantity" in run("edit", dead, '{"quantity": "many"}', code=1)
    assert "not JSON" in run("edit", dead, "{", code=2)
    assert "must be a JSON object" in run("edit", dead, "[]", code=2)
    assert "no dead letter" in run("edit", uuid7_at(1), '{"quantity": 1}', code=1)


def test_the_doctor_tells_of_more_letters_than_may_wait(settings: Settings, dead: str) -> None:
    def finding(limit: int) -> Any:
        patient = Patient(replace(settings, dead_letters_alarm=limit), Path(), None, True)
        return next(item for item in check_database(patient) if item.id == "dead_letters")

    assert finding(2).status == OK
    assert finding(1).status == WARNING
    assert "2 wait" in finding(1).found
    assert "2 refused" in finding(1).found
    assert "dead-letters list --counts" in finding(1).remedy
