"""A model's way from events to what is served: trained, kept, verified, told what is new."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from app.paging import write_cursor
from ml.budget import Budget
from models.database import transaction
from models.products import upsert_products
from models.training_runs import TrainingRun, begin_run, note_progress
from settings import read_settings
from tasks.train import carry_out, next_waiting, request_run
from tasks.training_attempt import Limits
from tasks.training_frames import read_frames
from tests.builders import DAY_MS, NOW, NOW_MS, body, store_events
from tests.integration.test_door import check_problem

COLOURS = ("red", "blue", "green", "black")
LIMITS = Limits(Budget(900.0, 1_500_000_000), 1_000_000)
Headers = dict[str, str]


def clock() -> datetime:
    return NOW


def train(engine: Engine, days: int = 30) -> dict[str, Any]:
    return carry_out(engine, request(engine, days), limits=LIMITS, clock=clock)


def request(engine: Engine, days: int = 30) -> int:
    return request_run(engine, days=days, now=NOW, requested_by="test")


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
    assert (run["status"], run["stage"], run["percent"]) == ("promoted", None, 100.0)
    assert (run["attempts"], run["seconds"], run["seconds_left"]) == (1, 0.0, None)

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


def test_too_little_data_is_no_failure(client: FlaskClient, engine: Engine) -> None:
    store_events(engine, look("p00", "u", NOW_MS - 1000))

    outcome = train(engine)

    assert (outcome["status"], outcome["version"]) == ("skipped", None)
    assert "too little data" in outcome["reason"]
    assert body(client.get("/api/model/info"))["status"] == "none"


def test_no_data_at_all_is_no_failure(engine: Engine) -> None:
    assert train(engine)["status"] == "skipped"


def test_a_finished_run_is_not_run_again(engine: Engine, session: Session) -> None:
    run_id = request(engine)
    carry_out(engine, run_id, limits=LIMITS, clock=clock)

    again = carry_out(engine, run_id, limits=LIMITS, clock=lambda: NOW + timedelta(hours=1))

    assert again["status"] == "finished before"
    assert session.get_one(TrainingRun, run_id).finished_at == NOW


def test_retraining_is_queued_for_the_trainer(
    client: FlaskClient, admin: Headers, redis_client: redis.Redis, session: Session
) -> None:
    answer = client.post("/api/retrain?days=7", headers=admin)

    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/training-runs/{body(answer)['run_id']}"
    assert (body(answer)["status"], body(answer)["days"]) == ("queued", 7)
    assert (body(answer)["requested_by"], body(answer)["waits_for"]) == ("test", None)
    message = orjson.loads(redis_client.lindex("millrace:celery:training", 0) or b"{}")
    assert message["headers"]["task"] == "train.run"
    run = session.scalars(select(TrainingRun)).one()
    assert (run.run_id, run.status) == (body(answer)["run_id"], "queued")
    assert body(client.get(answer.headers["Location"], headers=admin)) == body(answer)


def test_a_second_request_waits_for_the_first_and_a_third_joins_it(
    client: FlaskClient, admin: Headers, engine: Engine
) -> None:
    first = body(client.post("/api/retrain?days=7", headers=admin))
    second = body(client.post("/api/retrain?days=8", headers=admin))
    third = body(client.post("/api/retrain?days=8", headers=admin))

    assert second["waits_for"] == first["run_id"]
    assert third == second
    with ThreadPoolExecutor(4) as pool:
        joined = set(pool.map(lambda _: request(engine, days=9), range(8)))
    assert len(joined) == 1


def test_a_request_is_recorded_while_the_broker_is_away(
    app_with: Callable[..., FlaskClient], admin: Headers, engine: Engine
) -> None:
    cut_off = app_with(broker_url="unix:///nowhere/valkey.sock?db=0")

    answer = cut_off.post("/api/retrain", headers=admin)

    assert answer.status_code == 202
    assert next_waiting(engine, now=NOW) == body(answer)["run_id"]


def test_runs_are_listed_with_their_progress(
    client: FlaskClient, admin: Headers, engine: Engine
) -> None:
    run_ids = [request(engine, days=days) for days in (1, 2, 3)]
    with transaction(engine) as changing:
        begun = NOW - timedelta(seconds=60)
        run = begin_run(changing, run_ids[0], budget={"seconds": 9.0}, now=begun)
        assert run is not None
        note_progress(changing, run, stage="tune", percent=40.0, now=NOW)
        note_progress(changing, run, stage="evaluate", percent=30.0, now=NOW)

    first = body(client.get("/api/training-runs?limit=2", headers=admin))
    cursor = first["next_cursor"]
    rest = body(client.get(f"/api/training-runs?limit=2&cursor={cursor}", headers=admin))

    found = first["training_runs"] + rest["training_runs"]
    assert [run["run_id"] for run in found] == run_ids[::-1]
    assert rest["next_cursor"] is None
    assert [run["waits_for"] for run in found] == [run_ids[1], run_ids[0], None]
    running = found[-1]
    assert (running["stage"], running["percent"]) == ("evaluate", 40.0)
    assert (running["seconds"], running["seconds_left"]) == (60.0, 90.0)
    assert running["budget"] == {"seconds": 9.0}


def test_retraining_needs_the_scope(client: FlaskClient) -> None:
    check_problem(client.post("/api/retrain"), 401, "token_required")


@pytest.mark.parametrize("days", ["0", "x", "3651"])
def test_retraining_needs_a_number_of_days(client: FlaskClient, admin: Headers, days: str) -> None:
    check_problem(client.post(f"/api/retrain?days={days}", headers=admin), 422, "invalid")


def test_an_unknown_run_is_404(client: FlaskClient, admin: Headers) -> None:
    check_problem(client.get("/api/training-runs/5", headers=admin), 404, "unknown_run")


@pytest.mark.parametrize("keys", [(), ("x",), (1.5,), (True,), (1, 2)])
def test_a_cursor_of_another_list_is_refused(
    client: FlaskClient, admin: Headers, keys: tuple[Any, ...]
) -> None:
    cursor = write_cursor(*keys)

    for path in ("training-runs", "models", "models/promotions"):
        answer = client.get(f"/api/{path}?cursor={cursor}", headers=admin)
        check_problem(answer, 400, "bad_cursor")


@pytest.mark.parametrize("key", [0, -(2**70), 2**63, 10**30])
def test_a_cursor_beyond_all_ids_is_an_end_of_the_list(
    client: FlaskClient, admin: Headers, key: int
) -> None:
    cursor = base64.urlsafe_b64encode(f"[{key}]".encode()).decode().rstrip("=")

    for path in ("training-runs", "models", "models/promotions"):
        assert client.get(f"/api/{path}?cursor={cursor}", headers=admin).status_code in (200, 400)


def test_only_the_newest_interactions_are_read_when_there_are_too_many(engine: Engine) -> None:
    store_events(engine, *(look(f"p{n}", "u", NOW_MS - 1000 * n) for n in range(5)))
    since = NOW - timedelta(days=1)

    some = read_frames(engine, since=since, until=NOW, most=3)
    all_ = read_frames(engine, since=since, until=NOW, most=6)

    assert some.interactions["product_id"].tolist() == ["p2", "p1", "p0"]
    assert some.left_out == 2
    assert all_.interactions["product_id"].tolist() == ["p4", "p3", "p2", "p1", "p0"]
    assert all_.left_out == 0
    assert all_.interactions["occurred_at"].iloc[-1] == NOW


def test_what_was_left_out_is_said(engine: Engine, session: Session) -> None:
    store_events(engine, *(look(f"p{n}", "u", NOW_MS - 1000 * n) for n in range(5)))

    outcome = carry_out(
        engine, request(engine), limits=replace(LIMITS, most_interactions=3), clock=clock
    )

    assert outcome["reason"].endswith("Only the newest 3 of 5 interactions were read.")
    run = session.get_one(TrainingRun, outcome["run_id"])
    assert run.figures is not None
    assert run.figures["interactions_left_out"] == 2
    assert run.budget == {"seconds": 900.0, "memory_bytes": 1_500_000_000}


def test_visits_are_told_apart_and_missing_ones_are_missing(engine: Engine) -> None:
    for n, visit in enumerate(("s1", None, "s1", "s2")):
        store_events(engine, {**look("p", "u", NOW_MS - 1000 * n), "session_id": visit})

    frame = read_frames(engine, since=NOW - timedelta(days=1), until=NOW, most=9).interactions

    newest_first = frame["session_id"].tolist()[::-1]
    assert newest_first[0] == newest_first[2] != newest_first[3]
    assert frame["session_id"].isna().tolist() == [False, False, True, False]


def test_limits_follow_the_settings() -> None:
    small = read_settings({"TRAIN_MEMORY_BUDGET_MB": "200", "TRAIN_TIME_BUDGET_S": "10"})

    limits = Limits.of(small)

    assert limits.budget == Budget(10.0, 200_000_000)
    assert limits.most_interactions == 400_000
