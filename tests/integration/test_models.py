"""Trained models: which one is served, who chose it, going back, and what is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from app.artefact_check import find_fault
from cli.main import millrace
from cli.servers.environment import environment_of
from models.database import transaction
from models.invariants import check_invariants
from models.model_artefacts import (
    ModelArtefact,
    drop_old_artefacts,
    keep_artefact,
    read_champion,
)
from models.model_promotions import (
    Authority,
    read_promotions,
)
from models.model_switch import Switch, SwitchRefused, promote_version, roll_back
from models.training_runs import TrainingRun
from settings import Settings
from tasks.train import carry_out
from tests.builders import NOW, body
from tests.integration.test_door import check_problem
from tests.integration.test_training import LIMITS, clock, fill_shop, request, train

Headers = dict[str, str]
HAND = Authority(by="test", reason="by hand", at=NOW)


def sound(_: ModelArtefact) -> None:
    return None


def keep(engine: Engine, count: int = 1, *, like: ModelArtefact | None = None) -> list[int]:
    """Keep so many models, of bytes that nobody looks at or of those of another one."""
    made = []
    with transaction(engine) as session:
        run = TrainingRun(status="rejected", days=30, requested_at=NOW)
        session.add(run)
        session.flush()
        for _ in range(count):
            artefact = keep_artefact(
                session,
                run_id=run.run_id,
                content=like.content if like else b"model",
                manifest=like.manifest if like else {"sha256": "5a"},
                now=NOW,
            )
            made.append(artefact.version)
    return made


def promote(engine: Engine, version: int) -> Switch:
    with transaction(engine) as session:
        return promote_version(session, version, HAND, find_fault=sound)


def back(engine: Engine, served: int | None = None) -> int:
    with transaction(engine) as session:
        return roll_back(session, HAND, find_fault=sound, served_version=served).promotion.version


def served(engine: Engine) -> int | None:
    with transaction(engine) as session:
        champion = read_champion(session)
        return champion.version if champion else None


@pytest.fixture
def trained(engine: Engine) -> ModelArtefact:
    """Train a model that passes the gate; give it with its bytes."""
    fill_shop(engine)
    version = train(engine)["version"]
    with transaction(engine) as session:
        artefact = session.get_one(ModelArtefact, version)
        assert artefact.content
        return artefact


def test_going_back_twice_goes_two_models_back(engine: Engine) -> None:
    first, second, third = keep(engine, 3)
    for version in (first, second, first, third):
        promote(engine, version)

    assert [back(engine) for _ in range(3)] == [first, second, first]
    with pytest.raises(SwitchRefused, match="no model that was served before is kept"):
        back(engine)
    assert served(engine) == first


def test_going_back_passes_over_models_that_are_gone(engine: Engine, session: Session) -> None:
    first, second, third = keep(engine, 3)
    for version in (first, second, third):
        promote(engine, version)
    session.delete(session.get_one(ModelArtefact, second))
    session.commit()

    assert back(engine) == first


def test_promoting_what_is_served_changes_nothing(engine: Engine, session: Session) -> None:
    (version,) = keep(engine)

    first, again = promote(engine, version), promote(engine, version)

    assert (first.changed, again.changed) == (True, False)
    assert again.promotion.promotion_id == first.promotion.promotion_id
    assert len(read_promotions(session, limit=9, before=None)) == 1


def test_a_rollback_that_is_sent_twice_goes_back_once(engine: Engine) -> None:
    first, second, third = keep(engine, 3)
    for version in (first, second, third):
        promote(engine, version)

    assert back(engine, served=third) == second
    with pytest.raises(SwitchRefused, match=f"version {second} is served, not {third}"):
        back(engine, served=third)
    assert served(engine) == second


def test_promotions_at_once_are_one_after_the_other(engine: Engine, session: Session) -> None:
    versions = keep(engine, 4)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda version: promote(engine, version), versions * 5))

    history = read_promotions(session, limit=99, before=None)
    ids = [promotion.promotion_id for promotion in history]
    assert [promotion.previous_id for promotion in history] == [*ids[1:], None]
    assert all(newer.version != older.version for newer, older in pairwise(history))
    assert served(engine) == history[0].version


def test_five_are_kept_and_never_the_served_one_nor_the_one_before_is_dropped(
    engine: Engine, session: Session
) -> None:
    before, now_served, *others = keep(engine, 8)
    promote(engine, before)
    promote(engine, now_served)

    with transaction(engine) as changing:
        drop_old_artefacts(changing)

    kept = session.scalars(select(ModelArtefact.version).order_by(ModelArtefact.version)).all()
    assert kept == [before, now_served, *others[-3:]]


def test_a_model_that_does_not_verify_is_not_promoted(
    client: FlaskClient, engine: Engine, admin: Headers, trained: ModelArtefact
) -> None:
    (broken,) = keep(engine, like=trained)
    flipped = bytearray(trained.content)
    flipped[len(flipped) // 2] ^= 1
    old = {**trained.manifest, "format_version": 0}
    (outdated,) = keep(engine, like=trained)
    with transaction(engine) as session:
        session.get_one(ModelArtefact, broken).content = bytes(flipped)
        session.get_one(ModelArtefact, outdated).manifest = old

    for version, said in ((broken, "sha256"), (outdated, "format_version")):
        answer = client.post(f"/api/models/{version}/promote", headers=admin)
        check_problem(answer, 409, "model_unusable")
        assert said in body(answer)["detail"]
    assert served(engine) == trained.version


def test_a_person_promotes_and_goes_back(
    client: FlaskClient, engine: Engine, admin: Headers, trained: ModelArtefact
) -> None:
    (version,) = keep(engine, like=trained)

    promoted = client.post(f"/api/models/{version}/promote?reason=a trial", headers=admin)
    again = client.post(f"/api/models/{version}/promote", headers=admin)
    listed = body(client.get("/api/models", headers=admin))["models"]
    rolled = client.post(f"/api/models/rollback?served={version}", headers=admin)
    history = body(client.get("/api/models/promotions", headers=admin))["promotions"]

    assert (promoted.status_code, again.status_code, rolled.status_code) == (200, 200, 200)
    answer = body(promoted)
    assert (answer["changed"], answer["served_before"]) == (True, trained.version)
    assert (answer["promoted_by"], answer["reason"]) == ("test", "a trial")
    assert body(again)["changed"] is False
    assert [(model["version"], model["served"]) for model in listed] == [
        (version, True),
        (trained.version, False),
    ]
    assert listed[1]["metrics"] == trained.manifest["metrics"]
    assert listed[1]["promotion"]["promoted_by"] == "gate"
    assert [item["version"] for item in history] == [trained.version, version, trained.version]
    assert body(client.get(f"/api/models/{version}", headers=admin))["served"] is False


def test_the_model_info_says_what_is_served_and_why(
    client: FlaskClient, trained: ModelArtefact
) -> None:
    info = body(client.get("/api/model/info"))

    assert (info["status"], info["version"]) == ("serving", trained.version)
    assert (info["promoted_by"], info["refused"]) == ("gate", None)
    assert info["num_interactions"] == 1500
    assert info["decision"]["status"] == "promoted"
    assert info["decision"]["parts"].keys() == trained.manifest["parts"].keys()
    assert all(info[name] for name in ("metrics", "intervals", "baselines", "window"))
    assert info["size_bytes"] == len(trained.content)
    assert info["last_run"]["requested_by"] is None


def test_who_promoted_a_model_is_not_public(
    client: FlaskClient, admin: Headers, engine: Engine, trained: ModelArtefact
) -> None:
    (version,) = keep(engine, like=trained)
    client.post(f"/api/models/{version}/promote", headers=admin)
    client.application.extensions["millrace"].champions.refresh()

    info = body(client.get("/api/model/info"))

    assert (info["version"], info["promoted_by"]) == (version, "by hand")


def test_a_refused_model_is_named_and_lists_stay_full(
    client: FlaskClient, engine: Engine, trained: ModelArtefact
) -> None:
    old = {**trained.manifest, "format_version": 0}
    with transaction(engine) as session:
        session.execute(update(ModelArtefact).values(manifest=old))

    info = body(client.get("/api/model/info"))
    shown = client.get("/api/recommendations/popular?n=5")

    assert (info["status"], info["refused"]["version"]) == ("refused", trained.version)
    assert "format_version" in info["refused"]["reason"]
    assert len(body(shown)["recommendations"]) == 5


def test_what_an_error_of_a_training_says_is_not_public(
    client: FlaskClient, engine: Engine, session: Session
) -> None:
    run_id = request(engine)
    session.execute(update(TrainingRun).values(status="failed", reason="no route to db-7"))
    session.commit()

    info = body(client.get("/api/model/info"))

    assert info["last_run"]["reason"] == f"see GET /api/training-runs/{run_id}"


@pytest.mark.parametrize("path", ["7", "7/promote", f"{2**63}", "-1/promote", "x"])
def test_an_unknown_model_is_404(client: FlaskClient, admin: Headers, path: str) -> None:
    method = client.post if path.endswith("promote") else client.get

    assert method(f"/api/models/{path}", headers=admin).status_code == 404


@pytest.mark.parametrize(
    "query",
    ["reason=", "reason=%00", "reason=" + "x" * 501, "served=x", "served=0", f"served={2**70}"],
)
def test_a_rollback_that_makes_no_sense_is_the_callers_fault(
    client: FlaskClient, admin: Headers, query: str
) -> None:
    answer = client.post(f"/api/models/rollback?{query}", headers=admin)

    assert answer.status_code in (400, 422)


def test_a_reason_may_hold_what_is_no_text(
    client: FlaskClient, engine: Engine, admin: Headers, trained: ModelArtefact
) -> None:
    (version,) = keep(engine, like=trained)

    answer = client.post(f"/api/models/{version}/promote?reason=%ED%A0%80%FF", headers=admin)

    assert answer.status_code == 200


def test_without_a_model_there_is_nothing_to_go_back_to(
    client: FlaskClient, admin: Headers
) -> None:
    answer = client.post("/api/models/rollback", headers=admin)

    check_problem(answer, 409, "no_earlier_model")


def test_a_person_who_promotes_during_a_training_is_not_overruled(
    engine: Engine, trained: ModelArtefact, session: Session
) -> None:
    (chosen,) = keep(engine, like=trained)

    def meddle(stage: str, percent: float) -> None:
        if stage == "pack":
            promote(engine, chosen)

    outcome = carry_out(engine, request(engine), limits=LIMITS, clock=clock, progress=meddle)

    assert outcome["status"] == "rejected"
    assert "another model was put to serve" in outcome["reason"]
    assert served(engine) == chosen
    assert session.get(ModelArtefact, outcome["version"]) is not None


def test_a_process_that_asks_while_models_come_and_go_always_gets_an_answer(
    client: FlaskClient, engine: Engine, trained: ModelArtefact
) -> None:
    over = threading.Event()

    def ask() -> set[int]:
        codes = set()
        while not over.is_set():
            codes.add(client.application.test_client().get("/api/model/info").status_code)
        return codes

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        for _ in range(8):
            (version,) = keep(engine, like=trained)
            promote(engine, version)
            client.application.extensions["millrace"].champions.refresh()
            with transaction(engine) as session:
                drop_old_artefacts(session)
        over.set()

    assert [asked.result() for asked in asking] == [{200}, {200}]


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Give a function that runs a command on the servers of the tests."""
    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(millrace, words, catch_exceptions=False)


def test_the_commands_list_promote_and_go_back(
    run: Callable[..., Any], engine: Engine, trained: ModelArtefact
) -> None:
    (version,) = keep(engine, like=trained)

    tried = run("models", "promote", str(version), "--dry-run")
    assert served(engine) == trained.version
    promoted = run("models", "promote", str(version))
    again = run("models", "promote", str(version))
    listed = run("models")
    rolled = run("models", "rollback")
    no_more = run("models", "rollback")
    unknown = run("models", "promote", "99")

    place = f"version {version} in place of version {trained.version}"
    assert tried.output == f"would serve {place}\n"
    assert promoted.output == f"serves {place}\n"
    assert again.output == f"version {version} is served already\n"
    assert "2 models" in listed.output
    assert all(name in listed.output for name in ("new", "again", "similar"))
    assert rolled.output == f"serves version {trained.version} in place of version {version}\n"
    assert (no_more.exit_code, unknown.exit_code) == (1, 1)
    assert "there is no model of version 99" in unknown.output


def test_the_command_trains_and_prints_the_evaluation(
    run: Callable[..., Any], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.retrain._now", clock)
    fill_shop(engine)

    result = run("retrain", "--days", "30")

    assert result.exit_code == 0, result.output
    for name, asked in (
        ("Products that are new to people", "35 people"),
        ("Lists with products met before", "60 people"),
        ("Similar products", "209 questions"),
    ):
        assert f"{name}: {asked}, days not seen before" in result.output
        assert f"{name}: promoted. Not worse than recent popularity" in result.output
    assert result.output.count(" recent popularity ") >= 3
    assert f": promoted.\nkept as version {served(engine)} and served\n" in result.output


def test_the_check_tells_a_served_model_whose_bytes_have_changed(
    engine: Engine, redis_client: Any, trained: ModelArtefact
) -> None:
    def model_is_sound() -> bool:
        found = check_invariants(engine, redis_client, zone="UTC")
        return next(item.ok for item in found if item.id == "I10")

    assert model_is_sound()
    with transaction(engine) as session:
        session.execute(update(ModelArtefact).values(content=b"other"))
    assert not model_is_sound()


def test_a_served_model_that_is_gone_is_told_and_the_one_before_serves(
    client: FlaskClient, engine: Engine, redis_client: Any, trained: ModelArtefact
) -> None:
    (gone,) = keep(engine, like=trained)
    promote(engine, gone)
    with transaction(engine) as session:
        session.execute(delete(ModelArtefact).where(ModelArtefact.version == gone))

    info = body(client.get("/api/model/info"))
    found = check_invariants(engine, redis_client, zone="UTC")

    assert (info["version"], info["refused"]["version"]) == (trained.version, gone)
    assert [item.figure for item in found if item.id == "I10"] == [
        f"version {gone} is promoted, and it is gone"
    ]


def test_find_fault_survives_whatever_a_manifest_says(trained: ModelArtefact) -> None:
    without_window = {**trained.manifest, "window": None}
    for manifest in ({}, {**trained.manifest, "recipe": None}, {**trained.manifest, "parts": 7}):
        crafted = ModelArtefact(
            content=trained.content, sha256=trained.sha256, manifest=manifest, version=1
        )
        assert find_fault(crafted) is None or isinstance(find_fault(crafted), str)
    crafted = ModelArtefact(
        content=trained.content, sha256=trained.sha256, manifest=without_window, version=1
    )
    assert find_fault(crafted) is not None
    assert find_fault(trained) is None
