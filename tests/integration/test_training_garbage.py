"""Training on garbage ends in a state with a reason, and lists go on being served."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, delete, text

from models.database import transaction
from models.events import Event
from models.products import upsert_products
from settings import Settings
from tasks.ingest import Drainer
from tasks.train import carry_out, request_run
from tasks.training_attempt import Limits
from tests.builders import NOW, body, crafted, store

PEOPLE, PRODUCTS = 40, 30
#: The same words in five scripts, one of them written from right to left.
NAMES = (
    "brass lamp",
    "\u043b\u0430\u0442\u0443\u043d\u043d\u0430\u044f \u043b\u0430\u043c\u043f\u0430",
    "\u0645\u0635\u0628\u0627\u062d \u0646\u062d\u0627\u0633\u064a",
    "\u9ec4\u94dc\u706f",
    "\u092a\u0940\u0924\u0932 \u0915\u093e \u0926\u0940\u092a\u0915",
)
ODD_IDS = (
    "x" * 2000,
    "a/b?c#d%2F&n=3",
    "'; DROP TABLE events; --",
    "..\\..\\etc",
    "\u202e\u200b\ufeff",
    "e\u0301",
    "\u00e9",
    "\U0001f9f6" * 40,
    "\x01\x1f\x7f\t",
    "null",
)
ODD_STARS = (None, 0, -4, 6, 1e15, -1e15, 5e-324, 1e300, "NaN", "Infinity", "-Infinity")
Shop = Callable[[Engine], None]


def numbered(n: int) -> str:
    return f"p{n % PRODUCTS}"


def looks(
    product_of: Callable[[int], str] = numbered, *, people: int = PEOPLE, each: int = 12
) -> list[dict[str, Any]]:
    """Let each person look at products of one third of them, spread over the last twenty days."""
    return [
        {
            "event_type": "product_view",
            "product_id": product_of(3 * (person + n * n) + person % 3),
            "user_id": f"u{person}",
            "occurred_at": (NOW - timedelta(hours=each * person + n + 1)).isoformat(),
        }
        for person in range(people)
        for n in range(each)
    ]


def products(ids: Iterable[str], **fields: Any) -> list[dict[str, Any]]:
    return [{"product_id": id_, "name": f"lamp {id_[:20]}", "price": 10, **fields} for id_ in ids]


def keep(engine: Engine, catalogue: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    with transaction(engine) as session:
        upsert_products(session, catalogue, now=NOW)
    if events:
        store(engine, crafted(*events))


def every_id() -> list[str]:
    return [numbered(n) for n in range(PRODUCTS)]


def a_good_shop(engine: Engine) -> None:
    keep(engine, products(every_id()), looks())


def no_events(engine: Engine) -> None:
    keep(engine, products(every_id()), [])


def one_user(engine: Engine) -> None:
    keep(engine, products(every_id()), looks(people=1, each=300))


def one_product(engine: Engine) -> None:
    keep(engine, products(["p0"]), looks(lambda _: "p0"))


def no_prices(engine: Engine) -> None:
    keep(engine, products(every_id(), price=None), looks())


def no_catalogue(engine: Engine) -> None:
    keep(engine, [], looks())


def names_in_five_scripts(engine: Engine) -> None:
    keep(
        engine,
        [
            {"product_id": id_, "name": NAMES[n % 5], "category": NAMES[n % 4]}
            for n, id_ in enumerate(every_id())
        ],
        looks(),
    )


def odd_ids(engine: Engine) -> None:
    ids = [*ODD_IDS, *every_id()]
    keep(engine, products(ids), looks(lambda n: ids[n % len(ids)]))


def odd_stars(engine: Engine) -> None:
    rated = [
        {**look, "event_type": "rate", "value": ODD_STARS[n % len(ODD_STARS)]}
        for n, look in enumerate(looks())
    ]
    keep(engine, products(every_id()), rated)


def all_at_once(engine: Engine) -> None:
    keep(
        engine,
        products(every_id()),
        [{**look, "occurred_at": (NOW - timedelta(days=1)).isoformat()} for look in looks()],
    )


def one_product_all_the_time(engine: Engine) -> None:
    """Let one person look at one product more often than everybody at everything."""
    a_good_shop(engine)
    with transaction(engine) as session:
        session.execute(
            text(
                "INSERT INTO events (event_id, occurred_at, received_at, event_type, "
                "event_category, event_action, user_id, product_id) "
                "SELECT CAST('00000000-0000-8000-9000-' || lpad(to_hex(n), 12, '0') AS uuid), "
                ":now - n * interval '1 second', :now, 'product_view', 'product', 'view', "
                "'u0', 'p0' FROM generate_series(1, 30000) AS n"
            ),
            {"now": NOW},
        )


GARBAGE = (
    no_events,
    one_user,
    one_product,
    no_prices,
    no_catalogue,
    names_in_five_scripts,
    odd_ids,
    odd_stars,
    all_at_once,
    one_product_all_the_time,
)


@pytest.fixture
def train(engine: Engine, settings: Settings) -> Callable[[], dict[str, Any]]:
    """Give a function that trains on the last thirty days."""

    def clock() -> datetime:
        return NOW

    def carry() -> dict[str, Any]:
        run_id = request_run(engine, days=30, now=NOW, requested_by="test")
        return carry_out(engine, run_id, clock=clock, limits=Limits.of(settings))

    return carry


def check_lists(client: FlaskClient, *, shown: int) -> None:
    """Check that every list has at least so many products, whoever asks for whatever."""
    asked = [f"product/{quote(id_, safe='')}" for id_ in ("p0", "unheard", *ODD_IDS)]
    asked += ["user/u0", "user/u1", "user/unheard", f"user/{quote(ODD_IDS[4], safe='')}"]
    asked += ["user/u0?exclude_seen=false", "popular", "session?anonymous_id=u0"]
    for path in asked:
        answer = client.get(f"/api/recommendations/{path}")
        assert answer.status_code == 200, (path, answer.text)
        # Strict: to Python's own reader NaN is JSON.
        assert len(orjson.loads(answer.data)["recommendations"]) >= shown, path


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda shop: shop.__name__)
def test_garbage_ends_in_a_state_with_a_reason_and_full_lists(
    client: FlaskClient,
    engine: Engine,
    admin: dict[str, str],
    train: Callable[[], dict[str, Any]],
    garbage: Shop,
) -> None:
    garbage(engine)

    outcome = train()

    assert outcome["status"] in ("skipped", "rejected", "promoted")
    assert outcome["reason"]
    run = body(client.get(f"/api/training-runs/{outcome['run_id']}", headers=admin))
    assert (run["status"], run["reason"]) == (outcome["status"], outcome["reason"])
    info = client.get("/api/model/info")
    assert info.status_code == 200
    assert (body(info)["status"] == "serving") == (outcome["status"] == "promoted")
    check_lists(client, shown=0)


@pytest.mark.parametrize("garbage", [no_events, one_user, one_product], ids=lambda it: it.__name__)
def test_too_little_is_skipped(
    engine: Engine, train: Callable[[], dict[str, Any]], garbage: Shop
) -> None:
    garbage(engine)

    outcome = train()

    assert (outcome["status"], outcome["version"]) == ("skipped", None)
    assert "too little data" in outcome["reason"]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda shop: shop.__name__)
def test_a_model_goes_on_serving_whatever_comes_after_it(
    app_with: Callable[..., FlaskClient],
    engine: Engine,
    admin: dict[str, str],
    train: Callable[[], dict[str, Any]],
    garbage: Shop,
) -> None:
    a_good_shop(engine)
    first = train()["version"]
    app_with().post(f"/api/models/{first}/promote", headers=admin)
    with transaction(engine) as session:
        session.execute(delete(Event))
    garbage(engine)

    outcome = train()

    assert outcome["status"] in ("skipped", "rejected", "promoted")
    client = app_with()
    served = body(client.get("/api/model/info"))
    assert served["status"] == "serving"
    assert served["version"] == (outcome["version"] if outcome["status"] == "promoted" else first)
    check_lists(client, shown=1)


@pytest.mark.parametrize(
    "said",
    [
        *('"value": NaN', '"value": Infinity', '"value": 1e999', '"value": "NaN"', '"value": {}'),
        *('"properties": {"rating": NaN}', '"properties": {"rating": "NaN"}'),
        *(
            '"value": 1e15',
            '"value": -1e15',
            '"value": 5e-324',
            '"properties": {"stars": 1e400}',
            '"value": null',
        ),
    ],
)
def test_odd_stars_are_refused_or_counted_but_break_nothing(
    client: FlaskClient,
    engine: Engine,
    drainer: Drainer,
    train: Callable[[], dict[str, Any]],
    said: str,
) -> None:
    a_good_shop(engine)
    rating = f'{{"event_type": "rate", "product_id": "p0", "user_id": "u0", {said}}}'

    answer = client.post("/api/v1/analytics/events/", data=rating, content_type="application/json")
    drainer.drain()

    assert answer.status_code < 500
    assert train()["reason"]
    check_lists(client, shown=1)


def test_one_rating_beyond_all_measure_lifts_no_product_above_a_well_rated_one(
    client: FlaskClient, engine: Engine
) -> None:
    stars = [("good", 5)] * 20 + [("bad", 1)] * 10 + [("pushed", 1e15), ("pulled", -1e15)]
    ratings = [
        {"event_type": "rate", "product_id": product_id, "value": value}
        for product_id, value in stars
    ]
    keep(engine, products(["good", "bad", "pushed", "pulled"]), ratings)

    answer = client.get("/api/recommendations/popular?n=4")

    shown = [item["product_id"] for item in body(answer)["recommendations"]]
    assert shown == ["good", "pushed", "pulled", "bad"]
