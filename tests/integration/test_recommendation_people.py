"""Whose lists are whose: visitors, linked ids, people who opted out, and who may know why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.recommend.lists import UNNAMED
from app.schemas.recommendations import RecommendationList, WishResults
from ml.reasons import POPULAR
from models.api_keys import ADMIN, create_key
from models.database import transaction
from models.histories import HISTORY_EVENTS, LINKS_READ, read_histories, read_people
from models.identities import link
from models.person import Person
from models.suppressions import OPT_OUT, Salts, suppress
from recommendation_ids import read_recommendation_id
from settings import Settings
from tasks.aggregate import aggregate_dirty
from tasks.ingest import Drainer
from tests.builders import DAY_MS, NOW, NOW_MS, body, store_events
from tests.integration.test_door import check_problem
from tests.integration.test_recommendations import (
    URL,
    catalogue,
    look,
    numbered,
    rungs,
    shown,
)
from tests.integration.test_training import fill_shop, train

Headers = dict[str, str]


def visit(product_id: str, anonymous_id: str = "a", ms: int = NOW_MS - 1000) -> dict[str, Any]:
    return {
        "event_type": "product_view",
        "product_id": product_id,
        "anonymous_id": anonymous_id,
        "occurred_at": ms,
    }


def jwt_of(user_id: str, settings: Settings) -> Headers:
    token = jwt.encode({"sub": user_id}, settings.jwt_secret, algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}


def reasons(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {item["reason"] for item in body(answer)["recommendations"] if item["rung"] == "person"}


@pytest.fixture
def shop(engine: Engine) -> None:
    """Make a shop with a model, and a user who likes blue."""
    fill_shop(engine)
    assert train(engine)["status"] == "promoted"
    store_events(engine, *(look(f"p1{n}", "fan", NOW_MS - 1000 * n) for n in range(5)))


def test_a_visitor_without_any_event_gets_a_full_list(client: FlaskClient, engine: Engine) -> None:
    catalogue(engine, *numbered(12))

    assert len(shown(client.get(f"{URL}/session?anonymous_id=new"))) == 10


@pytest.mark.usefixtures("shop")
def test_an_event_that_comes_through_the_door_changes_the_visitors_next_list(
    client: FlaskClient, post: Callable[..., Any], drainer: Drainer
) -> None:
    asked = f"{URL}/session?anonymous_id=a&n=5&exclude_seen=true"
    before = shown(client.get(asked))

    post(*({**visit(f"p2{n}"), "occurred_at": NOW_MS - n} for n in range(4)))
    drainer.drain()
    after = client.get(asked)

    assert shown(after) != before
    assert sum(product_id.startswith("p2") for product_id in shown(after)) >= 4
    assert not {f"p2{n}" for n in range(4)} & set(shown(after))
    assert body(after)["recommendations"][0]["rung"] in ("person", "session")


def test_what_a_visitor_did_counts_for_the_user_they_turn_out_to_be_and_the_other_way_round(
    client: FlaskClient, engine: Engine
) -> None:
    catalogue(engine, *numbered(4))
    store_events(engine, visit("p000", "a"), visit("p001", "b"), look("p002", "u"))
    store_events(engine, {**look("p003", "other"), "anonymous_id": "a"})
    with transaction(engine) as session:
        link(session, "a", "u")
        link(session, "b", "u")

    of_user = shown(client.get(f"{URL}/user/u?exclude_seen=true"))
    of_visitor = shown(client.get(f"{URL}/session?anonymous_id=a&exclude_seen=true"))

    assert of_user == of_visitor == ["p003"]


def test_whoever_opted_out_gets_what_everybody_gets(
    client: FlaskClient, engine: Engine, settings: Settings
) -> None:
    catalogue(engine, *numbered(3))
    store_events(engine, look("p000", "u"), visit("p001", "a"))
    salts = Salts.of(settings.secret_key)
    with transaction(engine) as session:
        link(session, "a", "u")
        suppress(session, salts, salts.digests("u", []), reason=OPT_OUT)

    for path in ("user/u?", "session?anonymous_id=a&"):
        assert len(shown(client.get(f"{URL}/{path}exclude_seen=true"))) == 3


@pytest.mark.usefixtures("shop")
def test_only_who_may_know_learns_what_a_list_goes_by(
    client: FlaskClient, admin: Headers, settings: Settings, engine: Engine
) -> None:
    asked = f"{URL}/user/fan?exclude_seen=true"
    with transaction(engine) as session:
        exporter = create_key(session, kind=ADMIN, name="export only", scopes=("export",))

    for headers in (
        {},
        {"Authorization": "Bearer at_unknown"},
        {"Authorization": "Basic dTpw"},
        {"Authorization": f"Bearer {exporter}"},
        jwt_of("somebody else", settings),
    ):
        assert reasons(client.get(asked, headers=headers)) == {UNNAMED}
    for headers in (admin, jwt_of("fan", settings)):
        assert all("blue bag" in reason for reason in reasons(client.get(asked, headers=headers)))


@pytest.mark.usefixtures("shop")
def test_where_people_come_back_a_list_has_what_they_met_and_only_who_may_know_is_told(
    client: FlaskClient, admin: Headers
) -> None:
    asked = f"{URL}/user/fan?n=20"

    told = body(client.get(asked, headers=admin))
    untold = body(client.get(asked))

    again = {item["product_id"] for item in told["recommendations"] if item["rung"] == "again"}
    assert again == {f"p1{n}" for n in range(5)}
    assert again.isdisjoint(shown(client.get(f"{asked}&exclude_seen=true", headers=admin)))
    assert [item["product_id"] for item in untold["recommendations"]] == [
        item["product_id"] for item in told["recommendations"]
    ]
    rungs = [item["rung"] for item in untold["recommendations"]]
    assert {item["reason"] for item in untold["recommendations"]} <= {UNNAMED, POPULAR}
    assert "again" not in rungs
    read = read_recommendation_id(untold["recommendation_id"])
    assert read is not None
    assert list(read.rungs) == rungs


def test_where_access_needs_a_token_nobody_elses_list_is_given(
    app_with: Callable[..., FlaskClient], engine: Engine, admin: Headers, settings: Settings
) -> None:
    client = app_with(recommendations_access="token")
    catalogue(engine, *numbered(3))
    store_events(engine, look("p000", "u"), visit("p001", "a"))
    with transaction(engine) as session:
        link(session, "a", "u")

    check_problem(client.get(f"{URL}/user/u"), 401, "token_required")
    check_problem(client.get(f"{URL}/user/u", headers=jwt_of("v", settings)), 403, "another_user")
    check_problem(client.post(f"{URL}/batch", json={"requests": [{}]}), 401, "token_required")
    for headers in (admin, jwt_of("u", settings)):
        assert len(shown(client.get(f"{URL}/user/u?exclude_seen=true", headers=headers))) == 1
    session_url = f"{URL}/session?anonymous_id=a&exclude_seen=true"
    assert sorted(shown(client.get(session_url))) == ["p000", "p002"]
    assert shown(client.get(session_url, headers=admin)) == ["p002"]
    assert len(shown(client.get(f"{URL}/popular"))) == 3
    assert len(shown(client.get(f"{URL}/product/p000"))) == 2


@pytest.mark.usefixtures("shop")
def test_a_batch_gives_what_single_requests_give_and_rejects_bad_ones_alone(
    client: FlaskClient, admin: Headers
) -> None:
    store_n = [
        {"user_id": "fan", "n": 5, "exclude_seen": True},
        {"user_id": 7},
        "not an object",
        None,
        {"user_id": "x", "product_id": "y"},
        {"user_id": "half \ud83d"},
        {"product_id": "p00", "n": 3, "category": ["a, b"], "method": "content"},
        {"anonymous_id": "new", "n": 200},
        {"n": 4, "method": "popular"},
        {"method": "behaviour"},
    ]

    results = body(client.post(f"{URL}/batch", json={"requests": store_n}, headers=admin))[
        "results"
    ]

    verdicts = ["ok", "ok", *["rejected"] * 4, "ok", "rejected", "ok", "rejected"]
    assert [result["status"] for result in results] == verdicts
    assert [result["index"] for result in results] == list(range(10))
    assert {result["code"] for result in results if result["status"] == "rejected"} == {"invalid"}
    alone = body(client.get(f"{URL}/user/fan?n=5&exclude_seen=true", headers=admin))
    assert results[0]["recommendations"] == alone["recommendations"]
    assert results[6]["recommendations"] == []
    assert len(results[8]["recommendations"]) == 4


@pytest.mark.parametrize("requests", [[], [{}] * 101, {}, "x", None])
def test_a_batch_that_is_no_list_of_a_hundred_is_422(client: FlaskClient, requests: Any) -> None:
    check_problem(client.post(f"{URL}/batch", json={"requests": requests}), 422, "invalid")


def test_a_list_has_an_id_that_tells_its_version_and_rungs(
    client: FlaskClient, engine: Engine
) -> None:
    catalogue(engine, *numbered(3))

    answer = body(client.get(f"{URL}/popular"))

    read = read_recommendation_id(answer["recommendation_id"])
    assert read is not None
    assert (read.version, read.rungs, read.made_ms) == (None, ("newest",) * 3, NOW_MS)


def test_a_history_holds_the_newest_events_of_old_days_and_of_ids_without_a_time(
    engine: Engine, session: Session
) -> None:
    old = [look(f"old {days}", "u", NOW_MS - days * DAY_MS) for days in (89, 40, 20, 5)]
    undated = {"event_type": "product_view", "product_id": "x", "user_id": "u", "message_id": "m"}
    store_events(engine, *old, undated, look("too old", "u", NOW_MS - 92 * DAY_MS))

    found = read_histories(session.connection(), {0: Person("u"), 1: Person("nobody")}, now=NOW)

    assert [line.product_id for line in found[0]] == ["x", "old 5", "old 20", "old 40", "old 89"]
    assert found[1] == []

    lately = read_histories(session.connection(), {0: Person("u")}, now=NOW, days=30)[0]

    assert [line.product_id for line in lately] == ["x", "old 5", "old 20"]


def test_answers_are_what_their_schemas_document(shop: None, client: FlaskClient) -> None:
    wishes = [{"user_id": "fan"}, {"product_id": "p10"}, {"category": ["a", 7, None]}, {"n": 0}]

    lists = [client.get(f"{URL}/{path}") for path in ("user/fan", "product/p10", "popular")]
    batch = body(client.post(f"{URL}/batch", json={"requests": wishes}))

    for made in lists:
        assert RecommendationList().dump(body(made)) == body(made)
    assert [item["status"] for item in batch["results"]] == ["ok", "ok", "rejected", "rejected"]
    assert WishResults().dump(batch) == batch


def test_a_history_reaches_as_far_back_as_what_the_model_learned_from(
    shop: None, engine: Engine, client: FlaskClient
) -> None:
    # Ten days of interest in blue taught the model; what happened a month ago is another time.
    older = [look(f"p3{n}", "fan", NOW_MS - 30 * DAY_MS - n) for n in range(10)]
    store_events(engine, *older, look("p30", "stranger", NOW_MS - 30 * DAY_MS))

    fan, stranger = (client.get(f"{URL}/user/{name}?n=40") for name in ("fan", "stranger"))
    unseen = shown(client.get(f"{URL}/user/fan?n=40&exclude_seen=true"))

    names = {f"p3{n}" for n in range(10)}
    assert names <= set(shown(fan)), "the model may suggest again what its people forgot"
    assert names.isdisjoint(unseen), "what was seen is found however long ago it was"
    assert "person" not in rungs(stranger)


@pytest.mark.usefixtures("shop")
def test_a_list_is_the_same_whoever_elses_is_made_with_it(
    client: FlaskClient, engine: Engine
) -> None:
    older = [look(f"p3{n}", "fan", NOW_MS - 30 * DAY_MS - n) for n in range(10)]
    store_events(engine, *older)
    wishes = [{"user_id": "fan", "n": 40}, {"user_id": "other", "exclude_seen": True}]

    together = body(client.post(f"{URL}/batch", json={"requests": wishes}))["results"][0]

    alone = body(client.get(f"{URL}/user/fan?n=40"))
    assert together["recommendations"] == alone["recommendations"]


def test_of_very_many_events_the_newest_are_a_history(engine: Engine, session: Session) -> None:
    many = [look(f"p{n}", "u", NOW_MS - n * 600_000) for n in range(HISTORY_EVENTS + 50)]
    store_events(engine, *many)

    found = read_histories(session.connection(), {0: Person("u")}, now=NOW)[0]

    assert [line.product_id for line in found] == [f"p{n}" for n in range(HISTORY_EVENTS)]


def test_lists_are_not_counted_against_the_rate_of_an_address(
    app_with: Callable[..., FlaskClient], redis_client: redis.Redis
) -> None:
    client = app_with(rate_limit="2/minute")

    assert {client.get(f"{URL}/popular").status_code for _ in range(5)} == {200}


def test_without_the_database_a_list_is_503_and_says_when_to_ask_again(
    app_with: Callable[..., FlaskClient],
) -> None:
    client = app_with(database_url="postgresql://nobody@127.0.0.1:1/none")

    answer = client.get(f"{URL}/popular")

    check_problem(answer, 503, "database_unavailable")
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize("path", ["popular", "user/u"])
def test_a_database_that_was_restarted_costs_no_answer(
    client: FlaskClient, engine: Engine, path: str
) -> None:
    catalogue(engine, *numbered(3))
    assert client.get(f"{URL}/{path}").status_code == 200

    with transaction(engine) as session:
        ended = session.scalars(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'millrace recommendations'"
            )
        ).all()

    assert True in ended
    assert len(shown(client.get(f"{URL}/{path}"))) == 3


def test_what_somebody_did_who_opted_out_counts_for_no_user_they_are_linked_to(
    engine: Engine, session: Session, settings: Settings
) -> None:
    salts = Salts.of(settings.secret_key)
    with transaction(engine) as opened:
        link(opened, "gone", "u")
        link(opened, "stays", "u")
        suppress(opened, salts, salts.digests(None, ["gone"]), reason=OPT_OUT)

    known, _ = read_people(
        session.connection(), {0: ("u", None)}, salts=salts.as_parameters(), now=NOW
    )

    assert known[0].person == Person("u", ("stays",))
    assert not known[0].suppressed


def test_of_very_many_linked_ids_the_newest_count(engine: Engine, session: Session) -> None:
    with transaction(engine) as opened:
        for number in range(LINKS_READ):
            link(opened, f"old {number}", "u")
    with transaction(engine) as opened:
        link(opened, "new", "u")

    known, _ = read_people(session.connection(), {0: ("u", None)}, salts=None, now=NOW)

    assert len(known[0].person.anonymous_ids) == LINKS_READ
    assert "new" in known[0].person.anonymous_ids


def test_nobody_learns_of_which_category_a_person_met_something(
    client: FlaskClient, engine: Engine, admin: Headers
) -> None:
    catalogue(engine, *numbered(3, category="hats"))
    store_events(engine, look("p000", "u"), *(look(f"p00{n}", "other") for n in range(3)))
    aggregate_dirty(engine, now=NOW, zone="UTC")

    told, hidden = (
        {
            item["reason"]
            for item in body(client.get(f"{URL}/user/u?n=2", headers=headers))["recommendations"]
        }
        for headers in (admin, {})
    )

    assert told == {"popular in hats"}
    assert hidden == {UNNAMED}
