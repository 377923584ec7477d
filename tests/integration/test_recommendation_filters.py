"""What recommendation lists hold: always full, and nothing that was not asked for."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from app.recommend.diversity import pick_diverse
from app.schemas.recommendations import RecommendationList
from models.database import transaction
from models.histories import HISTORY_EVENTS
from tasks.aggregate import aggregate_dirty
from tests.builders import NOW, NOW_MS, body, empty, store_events
from tests.integration.test_door import check_problem
from tests.integration.test_recommendations import URL, catalogue, look, shown
from tests.integration.test_training import fill_shop, train

CATEGORIES = ("bags", "cups", "hats")
Product = dict[str, Any]

products = st.fixed_dictionaries(
    {
        "category": st.sampled_from([None, *CATEGORIES]),
        "price": st.sampled_from([None, "5", "10", "20.50"]),
        "active": st.booleans() | st.just(True),
        "stock": st.sampled_from([None, 0, 3]),
    }
)
queries = st.fixed_dictionaries(
    {"n": st.integers(1, 12), "diversity": st.sampled_from([0, 0, 0.5, 1])},
    optional={
        "category": st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=2),
        "min_price": st.sampled_from(["5", "6"]),
        "max_price": st.sampled_from(["10", "20.50"]),
        "exclude": st.lists(st.sampled_from(["p00", "p01", "p02"]), max_size=2),
        "method": st.sampled_from(["auto", "popular"]),
    },
)


def is_wanted(product: Product, query: dict[str, Any]) -> bool:
    price = Decimal(product["price"]) if product["price"] else None
    low, high = query.get("min_price"), query.get("max_price")
    return (
        product["active"]
        and product["stock"] != 0
        and ("category" not in query or product["category"] in query["category"])
        and (low is None or (price is not None and price >= Decimal(low)))
        and (high is None or (price is not None and price <= Decimal(high)))
        and product["product_id"] not in query.get("exclude", ())
    )


@settings(max_examples=40)
@given(
    shop=st.lists(products, min_size=1, max_size=15),
    met=st.lists(st.integers(0, 14), max_size=8),
    query=queries,
    path=st.sampled_from(["popular", "user/u", "session?anonymous_id=a", "product/p00"]),
    exclude_seen=st.sampled_from(["true", "false"]),
)
def test_a_list_is_as_long_as_what_may_be_shown_and_holds_nothing_else(
    client: FlaskClient,
    engine: Engine,
    shop: list[Product],
    met: list[int],
    query: dict[str, Any],
    path: str,
    exclude_seen: str,
) -> None:
    empty(engine)
    listed = [{"product_id": f"p{n:02d}", **product} for n, product in enumerate(shop)]
    catalogue(engine, *listed)
    seen = {listed[n]["product_id"] for n in met if n < len(listed)}
    if seen:
        store_events(engine, *(look(name, "u") for name in sorted(seen)))
        store_events(engine, *(as_visitor(name) for name in sorted(seen)))
        aggregate_dirty(engine, zone="UTC", now=NOW)

    found = shown(
        client.get(
            f"{URL}/{path.partition('?')[0]}",
            query_string={
                **query,
                "exclude_seen": exclude_seen,
                **({"anonymous_id": "a"} if path.startswith("session") else {}),
            },
        )
    )

    eligible = {item["product_id"] for item in listed if is_wanted(item, query)}
    if exclude_seen == "true" and path.startswith(("user", "session")):
        eligible -= seen
    if path == "product/p00":
        eligible -= {"p00"}
    assert set(found) <= eligible
    assert len(found) == len(set(found)) == min(query["n"], len(eligible))


def as_visitor(product_id: str) -> dict[str, Any]:
    return {
        "event_type": "product_view",
        "product_id": product_id,
        "anonymous_id": "a",
        "occurred_at": NOW_MS - 2000,
    }


@pytest.fixture
def shop(client: FlaskClient, engine: Engine) -> FlaskClient:
    """Give a shop of forty products in four colours, with a model."""
    fill_shop(engine)
    assert train(engine)["status"] == "promoted"
    return client


def test_a_narrow_filter_goes_through_the_whole_model(shop: FlaskClient, engine: Engine) -> None:
    before = shown(shop.get(f"{URL}/product/p00?n=40"))
    with transaction(engine) as session:
        session.execute(
            text("UPDATE products SET category = 'last' WHERE product_id = ANY(:ids)"),
            {"ids": before[-3:]},
        )

    found = shop.get(f"{URL}/product/p00?n=10&category=last")
    cheap = shop.get(f"{URL}/user/u00?n=10&max_price=12.00&exclude_seen=false")

    assert set(shown(found)) == set(before[-3:])
    assert set(shown(cheap)) == {"p00", "p01", "p02"}


@pytest.mark.parametrize("method", ["auto", "behaviour", "content", "popular"])
def test_each_method_fills_its_list(shop: FlaskClient, method: str) -> None:
    answer = shop.get(f"{URL}/product/p00?n=39&method={method}")

    assert sorted(shown(answer)) == [f"p{n:02d}" for n in range(1, 40)]


def test_without_diversity_the_order_is_the_models_and_with_all_of_it_categories_alternate(
    shop: FlaskClient, engine: Engine
) -> None:
    with transaction(engine) as session:
        session.execute(text("UPDATE products SET category = substr(product_id, 1, 2)"))
    plain = shown(shop.get(f"{URL}/product/p00?n=4"))

    off = shown(shop.get(f"{URL}/product/p00?n=4&diversity=0"))
    full = shown(shop.get(f"{URL}/product/p00?n=4&diversity=1"))

    assert off == plain
    assert full[0] == plain[0]
    assert len({product_id[:2] for product_id in full}) > len({name[:2] for name in plain})


def test_a_pick_weighs_place_against_likeness() -> None:
    twins = [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    import numpy as np

    alike = np.array(twins, dtype=float)

    assert pick_diverse(alike, 3, 0.0) == [0, 1, 2]
    assert pick_diverse(alike, 2, 0.5) == [0, 2]
    assert pick_diverse(alike, 9, 1.0) == [0, 2, 1]


def test_what_is_shown_is_what_the_schema_says(shop: FlaskClient) -> None:
    answer = body(shop.get(f"{URL}/user/u00"))

    assert RecommendationList().dump(answer) == answer
    assert list(answer["recommendations"][0]) == [
        "product_id",
        "name",
        "category",
        "price",
        "score",
        "reason",
        "rung",
    ]


@pytest.mark.parametrize(
    "query",
    [
        "popular?min_price=-1",
        "popular?max_price=NaN",
        "popular?max_price=1e400",
        "popular?min_price=1e-9999999999999999999",
        "popular?diversity=1.5",
        "popular?diversity=nan",
        "popular?method=content",
        "product/p?exclude=" + "x" * 201,
        "product/p?exclude=" + ",".join(map(str, range(501))),
        "session",
        "session?anonymous_id=",
    ],
)
def test_what_cannot_be_used_is_422(client: FlaskClient, query: str) -> None:
    check_problem(client.get(f"{URL}/{query}"), 422, "invalid")


@pytest.mark.parametrize(
    "query",
    [
        "popular?min_price=5&max_price=5",
        "popular?category=" + ",".join(["c"] * 400),
        "product/%F0%9F%91%9C?category=%ED%A0%80",
        "user/" + "u" * 3000,
        "popular?n=10&n=11&unknown=1",
        "popular?min_price=1e-300",
        "popular?exclude=,,,",
    ],
)
def test_odd_queries_are_answered(client: FlaskClient, query: str) -> None:
    assert client.get(f"{URL}/{query}").status_code == 200


def test_a_category_may_be_given_several_times_or_with_commas(
    client: FlaskClient, engine: Engine
) -> None:
    catalogue(
        engine, *({"product_id": name, "category": name} for name in ("bags", "cups", "hats"))
    )

    for query in ("category=bags&category=cups", "category=bags,cups"):
        assert sorted(shown(client.get(f"{URL}/popular?{query}"))) == ["bags", "cups"]


def test_what_was_bought_lately_stays_out_where_the_shop_says_so(
    app_with: Callable[..., FlaskClient], engine: Engine
) -> None:
    catalogue(engine, {"product_id": "kettle"}, {"product_id": "tea"})
    bought = {"event_type": "purchase", "product_id": "kettle", "user_id": "u"}
    store_events(engine, {**bought, "occurred_at": NOW_MS - 86_400_000}, look("tea"))

    asked = f"{URL}/user/u?exclude_seen=false"
    week = app_with(recommendations_bought_days=7)

    assert shown(week.get(asked)) == ["tea"]
    assert sorted(shown(app_with().get(asked))) == ["kettle", "tea"]


def test_what_was_bought_stays_out_however_much_happened_since(
    app_with: Callable[..., FlaskClient], engine: Engine
) -> None:
    catalogue(engine, {"product_id": "kettle"}, {"product_id": "tea"})
    bought = {"event_type": "purchase", "product_id": "kettle", "user_id": "u"}
    since = [look("tea", ms=NOW_MS - 1000 * n) for n in range(HISTORY_EVENTS)]
    store_events(engine, {**bought, "occurred_at": NOW_MS - 86_400_000}, *since)

    week = app_with(recommendations_bought_days=7)

    assert shown(week.get(f"{URL}/user/u?exclude_seen=false")) == ["tea"]


def test_each_list_of_a_batch_has_its_own_filter(client: FlaskClient, engine: Engine) -> None:
    priced = ({"product_id": f"p{n}", "price": n} for n in range(12))
    catalogue(engine, *priced, {"product_id": "without"})
    wishes = [{"min_price": str(low), "max_price": str(low + 2)} for low in range(9)]

    results = body(client.post(f"{URL}/batch", json={"requests": wishes * 2}))["results"]

    for number, result in enumerate(results):
        found = {item["product_id"] for item in result["recommendations"]}
        assert found == {f"p{number % 9 + more}" for more in range(3)}
