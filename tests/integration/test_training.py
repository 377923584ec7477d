"""A model's way from events to what is served: trained, kept, verified, told what is new."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text, update
from sqlalchemy.orm import Session

from app.champion import ChampionHolder
from models.database import transaction
from models.products import upsert_products
from models.training_runs import ModelArtefact, TrainingRun, read_champion
from tasks.train import carry_out, request_run
from tests.builders import DAY_MS, NOW, NOW_MS, body, store_events
from tests.integration.test_door import check_problem

COLOURS = ("red", "blue", "green", "black")
Headers = dict[str, str]


def clock() -> datetime:
    return NOW


def ticks() -> Callable[[], float]:
    """Give a clock that moves on by an hour whenever it is read."""
    hours: Iterator[int] = iter(range(10_000))
    return lambda: float(next(hours) * 3600)


def train(engine: Engine, days: int = 30) -> dict[str, Any]:
    return carry_out(engine, request_run(engine, days=days, now=NOW), clock=clock)


def fill_shop(engine: Engine) -> None:
    """Let sixty people, each with a taste for one colour, look at forty products for ten days."""
    chance = random.Random(7)
    events = []
    for person in range(60):
        for _ in range(25):
            colour = person % 4 if chance.random() < 0.9 else chance.randrange(4)
            product = 10 * colour + chance.randrange(10)
            ms = NOW_MS - int(chance.uniform(0.01, 10) * DAY_MS)
            events.append(look(f"p{product:02d}", f"u{person:02d}", ms))
    products = [
        {"product_id": f"p{n:02d}", "name": f"{COLOURS[n // 10]} bag {n}", "price": 10 + n}
        for n in range(40)
    ]
    with transaction(engine) as session:
        upsert_products(session, products, now=NOW)
    for start in range(0, len(events), 500):
        store_events(engine, *events[start : start + 500])


def look(product_id: str, user_id: str, ms: int) -> dict[str, Any]:
    return {
        "event_type": "product_view",
        "product_id": product_id,
        "user_id": user_id,
        "occurred_at": ms,
    }


def colour_of(product_id: str) -> str:
    return COLOURS[int(product_id[1:]) // 10]


def shown(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["product_id"] for item in body(answer)["recommendations"]]


def test_a_trained_model_is_served_and_follows_new_events(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    fill_shop(engine)
    outcome = train(engine)

    assert outcome["status"] == "promoted", outcome
    info = body(client.get("/api/model/info"))
    assert (info["status"], info["version"]) == ("serving", outcome["version"])
    assert info["last_run"]["status"] == "promoted"
    assert info["last_run"]["figures"]["num_interactions"] == 1500
    run = body(client.get(f"/api/training-runs/{outcome['run_id']}", headers=admin))
    assert (run["status"], run["stage"]) == ("promoted", None)

    similar = client.get("/api/recommendations/product/p00?n=5")
    assert body(similar)["model_version"] == outcome["version"]
    assert [colour_of(product_id) for product_id in shown(similar)].count("red") >= 4
    assert all(item["reason"] for item in body(similar)["recommendations"])

    stranger = client.get("/api/recommendations/user/new?n=5")
    store_events(engine, *(look(f"p1{n}", "new", NOW_MS - 1000 * n) for n in range(5)))
    known = client.get("/api/recommendations/user/new?n=5&exclude_seen=true")
    assert [colour_of(product_id) for product_id in shown(known)].count("blue") >= 4
    assert shown(known) != shown(stranger)
    assert {f"p1{n}" for n in range(5)}.isdisjoint(shown(known))


def test_the_model_hides_what_cannot_be_bought(client: FlaskClient, engine: Engine) -> None:
    fill_shop(engine)
    train(engine)
    before = shown(client.get("/api/recommendations/product/p00?n=5"))

    with transaction(engine) as session:
        session.execute(
            text("UPDATE products SET stock = 0 WHERE product_id = :id"), {"id": before[0]}
        )

    after = shown(client.get("/api/recommendations/product/p00?n=5"))
    assert before[0] not in after
    assert len(after) == 5


def test_a_flipped_byte_is_refused_and_the_old_model_stays(engine: Engine) -> None:
    fill_shop(engine)
    first = train(engine)
    holder = ChampionHolder(clock=ticks())
    with transaction(engine) as session:
        served = holder.current(session)
    with transaction(engine) as session:
        artefact = session.get_one(ModelArtefact, first["version"])
        broken = bytearray(artefact.content)
        broken[len(broken) // 2] ^= 1
        session.add(
            ModelArtefact(
                run_id=artefact.run_id,
                created_at=NOW,
                served_from=NOW + timedelta(hours=1),
                sha256=artefact.sha256,
                size_bytes=artefact.size_bytes,
                manifest=artefact.manifest,
                content=bytes(broken),
            )
        )

    with transaction(engine) as session:
        newest = read_champion(session)
        still = holder.current(session)
        fresh = ChampionHolder(clock=ticks()).current(session)

    assert newest is not None
    assert newest.version != first["version"]
    assert still is served is not None
    assert fresh is None


def test_too_little_data_is_no_failure(client: FlaskClient, engine: Engine) -> None:
    store_events(engine, look("p00", "u", NOW_MS - 1000))

    outcome = train(engine)

    assert (outcome["status"], outcome["version"]) == ("skipped", None)
    assert "too little data" in outcome["reason"]
    assert body(client.get("/api/model/info"))["status"] == "none"


def test_no_data_at_all_is_no_failure(engine: Engine) -> None:
    assert train(engine)["status"] == "skipped"


def test_a_finished_run_is_not_run_again(engine: Engine, session: Session) -> None:
    run_id = request_run(engine, days=30, now=NOW)
    carry_out(engine, run_id, clock=clock)

    again = carry_out(engine, run_id, clock=lambda: NOW + timedelta(hours=1))

    assert again["status"] == "finished before"
    assert session.get_one(TrainingRun, run_id).finished_at == NOW


def test_a_run_whose_process_died_is_marked_by_the_next(engine: Engine, session: Session) -> None:
    dead = request_run(engine, days=30, now=NOW)
    with transaction(engine) as changing:
        changing.execute(update(TrainingRun).values(status="running", started_at=NOW))

    train(engine)

    run = session.get_one(TrainingRun, dead)
    assert (run.status, run.reason) == ("failed", "the training process died")


def test_retraining_is_queued_for_the_trainer(
    client: FlaskClient, admin: Headers, redis_client: redis.Redis, session: Session
) -> None:
    answer = client.post("/api/retrain?days=7", headers=admin)

    assert answer.status_code == 202
    assert (body(answer)["status"], body(answer)["days"]) == ("queued", 7)
    message = orjson.loads(redis_client.lindex("millrace:celery:training", 0) or b"{}")
    assert message["headers"]["task"] == "train.run"
    run = session.scalars(select(TrainingRun)).one()
    assert (run.run_id, run.status) == (body(answer)["run_id"], "queued")


def test_retraining_needs_the_scope(client: FlaskClient) -> None:
    check_problem(client.post("/api/retrain"), 401, "token_required")


@pytest.mark.parametrize("days", ["0", "x", "3651"])
def test_retraining_needs_a_number_of_days(client: FlaskClient, admin: Headers, days: str) -> None:
    check_problem(client.post(f"/api/retrain?days={days}", headers=admin), 422, "invalid")


def test_an_unknown_run_is_404(client: FlaskClient, admin: Headers) -> None:
    check_problem(client.get("/api/training-runs/5", headers=admin), 404, "unknown_run")
