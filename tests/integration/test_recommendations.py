"""Recommendations without a model: the ladder is never empty while there are products to show."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from models.database import transaction
from models.products import upsert_products
from tasks.aggregate import aggregate_dirty
from tests.builders import NOW, NOW_MS, body, store_events
from tests.integration.test_door import check_problem

URL = "/api/recommendations"


def catalogue(engine: Engine, *products: dict[str, Any]) -> None:
    with transaction(engine) as session:
        upsert_products(session, products, now=NOW)


def numbered(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"product_id": f"p{n:03d}", "name": f"Bag {n}", **fields} for n in range(count)]


def look(product_id: str, user_id: str = "u", ms: int = NOW_MS - 1000) -> dict[str, Any]:
    return {
        "event_type": "product_view",
        "product_id": product_id,
        "user_id": user_id,
        "occurred_at": ms,
    }


def shown(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["product_id"] for item in body(answer)["recommendations"]]


def rungs(answer: Any) -> list[str]:
    return [item["rung"] for item in body(answer)["recommendations"]]


def test_without_any_product_the_list_is_empty_and_no_error(client: FlaskClient) -> None:
    answer = client.get(f"{URL}/popular")

    assert body(answer) == {
        "model_version": None,
        "recommendation_id": None,
        "recommendations": [],
    }


def test_before_the_first_event_the_newest_products_are_shown(
    client: FlaskClient, engine: Engine
) -> None:
    catalogue(engine, *numbered(20))

    answer = client.get(f"{URL}/popular?n=5")

    assert len(shown(answer)) == 5
    assert rungs(answer) == ["newest"] * 5
    assert body(answer)["recommendations"][0]["name"] == "Bag 0"


def test_what_people_met_lately_comes_first(client: FlaskClient, engine: Engine) -> None:
    catalogue(engine, *numbered(5))
    store_events(engine, look("p003"), look("p003"), look("p001"))
    aggregate_dirty(engine, zone="UTC", now=NOW)

    answer = client.get(f"{URL}/popular?n=4")

    assert shown(answer)[:2] == ["p003", "p001"]
    assert rungs(answer) == ["trending", "trending", "newest", "newest"]


def test_good_ratings_come_before_new_products(client: FlaskClient, engine: Engine) -> None:
    catalogue(engine, *numbered(3))
    store_events(engine, {"event_type": "rate", "product_id": "p002", "value": 5})

    answer = client.get(f"{URL}/popular?n=2")

    assert (shown(answer)[0], rungs(answer)[0]) == ("p002", "best_rated")


def test_products_of_the_same_category_come_first(client: FlaskClient, engine: Engine) -> None:
    catalogue(engine, *numbered(4, category="bags"), {"product_id": "cup", "category": "cups"})
    store_events(engine, look("cup"), look("cup"), look("cup"), look("p002"))
    aggregate_dirty(engine, zone="UTC", now=NOW)

    answer = client.get(f"{URL}/product/p000?n=2")

    assert shown(answer) == ["p002", "cup"]
    assert rungs(answer) == ["category", "trending"]


@pytest.mark.parametrize("path", ["product/never-heard-of", "user/never-heard-of", "product/a/b"])
def test_somebody_unknown_gets_a_full_list(client: FlaskClient, engine: Engine, path: str) -> None:
    catalogue(engine, *numbered(12))

    assert len(shown(client.get(f"{URL}/{path}"))) == 10


def test_a_product_is_not_recommended_with_itself(client: FlaskClient, engine: Engine) -> None:
    catalogue(engine, *numbered(3))

    assert sorted(shown(client.get(f"{URL}/product/p001"))) == ["p000", "p002"]


@pytest.mark.parametrize("hidden", [{"active": False}, {"stock": 0}])
def test_what_cannot_be_bought_is_hidden_on_every_rung(
    client: FlaskClient, engine: Engine, hidden: dict[str, Any]
) -> None:
    catalogue(engine, *numbered(2), {"product_id": "gone", **hidden})
    store_events(engine, look("gone"), {"event_type": "rate", "product_id": "gone", "value": 5})
    aggregate_dirty(engine, zone="UTC", now=NOW)

    assert sorted(shown(client.get(f"{URL}/popular"))) == ["p000", "p001"]


def test_a_product_only_known_from_events_can_be_shown(client: FlaskClient, engine: Engine) -> None:
    store_events(engine, look("unlisted"))
    aggregate_dirty(engine, zone="UTC", now=NOW)

    assert shown(client.get(f"{URL}/popular")) == ["unlisted"]


def test_what_a_user_met_is_left_out_unless_asked_for(client: FlaskClient, engine: Engine) -> None:
    catalogue(engine, *numbered(3))
    store_events(engine, look("p000"))
    aggregate_dirty(engine, zone="UTC", now=NOW)

    assert "p000" not in shown(client.get(f"{URL}/user/u"))
    assert "p000" in shown(client.get(f"{URL}/user/u?exclude_seen=false"))


def test_a_user_who_met_very_many_products_still_gets_a_full_list(
    client: FlaskClient, engine: Engine
) -> None:
    catalogue(engine, *numbered(120))
    store_events(engine, *(look(f"p{n:03d}") for n in range(100)))
    aggregate_dirty(engine, zone="UTC", now=NOW)

    assert len(shown(client.get(f"{URL}/user/u?n=10"))) == 10


def test_an_event_stored_now_changes_the_next_list(client: FlaskClient, engine: Engine) -> None:
    catalogue(engine, *numbered(3))
    before = shown(client.get(f"{URL}/user/u"))

    store_events(engine, look(before[0]))

    assert before[0] not in shown(client.get(f"{URL}/user/u"))


def test_events_whose_ids_carry_no_time_are_part_of_the_history(
    client: FlaskClient, engine: Engine
) -> None:
    catalogue(engine, *numbered(3))
    store_events(
        engine,
        {
            "event_type": "product_view",
            "product_id": "p000",
            "user_id": "u",
            "message_id": "no time",
        },
    )

    assert "p000" not in shown(client.get(f"{URL}/user/u"))


@pytest.mark.parametrize(
    "query", ["popular?n=0", "popular?n=101", "product/p?method=magic", "user/u?exclude_seen=maybe"]
)
def test_a_query_that_cannot_be_used_is_422(client: FlaskClient, query: str) -> None:
    check_problem(client.get(f"{URL}/{query}"), 422, "invalid")


@pytest.mark.parametrize("query", ["min_price=10&max_price=9.5", "min_price=1e-5&max_price=0"])
def test_prices_that_no_product_can_have_are_refused(client: FlaskClient, query: str) -> None:
    for path in ("popular?", "product/p?", "user/u?", "session?anonymous_id=a&"):
        answer = client.get(f"{URL}/{path}{query}")

        check_problem(answer, 422, "invalid")
        assert "Must be at most max_price" in body(answer)["errors"]["query"]["min_price"][0]
    assert client.get(f"{URL}/popular?min_price=9.5&max_price=9.50").status_code == 200


def test_in_a_batch_only_the_request_with_such_prices_is_rejected(client: FlaskClient) -> None:
    requests = [{"min_price": 2, "max_price": 1}, {"min_price": 1, "max_price": 2}]

    results = body(client.post(f"{URL}/batch", json={"requests": requests}))["results"]

    assert [result["status"] for result in results] == ["rejected", "ok"]
    assert list(results[0]["errors"]) == ["min_price"]


@pytest.mark.parametrize("product_id", ["a//b", "http://shop/a", "a///b"])
def test_an_id_with_slashes_is_asked_for_as_it_is(
    client: FlaskClient, engine: Engine, product_id: str
) -> None:
    catalogue(
        engine,
        {"product_id": product_id, "name": "A"},
        {"product_id": "other", "name": "B"},
    )

    assert shown(client.get(f"{URL}/product/{product_id}?n=2")) == ["other"]
