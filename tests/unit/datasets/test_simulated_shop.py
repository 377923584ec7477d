"""The simulated shop: the same each time, whole, and a little like a shop."""

import json
from collections import Counter, defaultdict
from datetime import date

import numpy as np
import pytest

from datasets import DatasetError, simulate_shop
from datasets.simulated_words import CATEGORIES, COLORS

LAST_DAY = date(2026, 3, 31)
SMALL = {"products": 60, "customers": 40, "days": 20, "events": 2_000, "last_day": LAST_DAY}


def test_the_same_seed_gives_the_same_shop():
    first, second = simulate_shop(seed=7, **SMALL), simulate_shop(seed=7, **SMALL)

    assert list(first.events()) == list(second.events())
    assert first.products == second.products


def test_another_seed_or_day_gives_other_events_and_other_ids():
    ids = [
        {event["message_id"] for event in simulate_shop(**SMALL | change).events()}
        for change in ({"seed": 1}, {"seed": 2}, {"last_day": date(2026, 3, 30)})
    ]

    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]


def test_it_says_that_it_is_simulated(shop):
    assert shop.simulated
    assert shop.name == "simulated-shop"
    assert "simulated" in shop.notes[0]


def test_the_default_size_is_near_its_target(shop, shop_events):
    assert shop.event_count == len(shop_events) == pytest.approx(150_000, rel=0.05)
    assert (shop.first_day, shop.last_day) == (date(2026, 1, 1), LAST_DAY)
    assert len(shop.products) == 3000


def test_events_are_in_time_order_within_the_days_with_ids_of_their_own(shop_events):
    times = [event["occurred_at"] for event in shop_events]

    assert times == sorted(times)
    assert (times[0][:10], times[-1][:10]) == ("2026-01-01", "2026-03-31")
    assert len({event["message_id"] for event in shop_events}) == len(shop_events)


def test_every_product_of_an_event_is_in_the_catalogue(shop, shop_events):
    catalogue = {product["product_id"] for product in shop.products}
    named = {event["product_id"] for event in shop_events if "product_id" in event}
    items = {item["product_id"] for event in shop_events for item in event.get("items", ())}

    assert len(catalogue) == len(shop.products)
    assert named <= items <= catalogue


def test_every_event_is_small_and_names_a_person_and_a_source(shop_events):
    for event in shop_events:
        assert "user_id" in event or "anonymous_id" in event
        assert event["source"] in {"web", "android", "ios", "kiosk", "server"}
        assert event.get("device_type", "mobile") in {"desktop", "mobile", "tablet"}
    assert max(len(json.dumps(event)) for event in shop_events) < 2048


def test_the_kinds_of_events_are_those_of_a_shop(shop_events):
    kinds = Counter(event["event_type"] for event in shop_events)

    assert set(kinds) == {
        "page_view", "search", "product_list_view", "product_click", "product_view",
        "rec_clicked", "favorite_add", "add_to_cart", "remove_from_cart", "purchase", "refund",
        "rate", "login",
    }  # fmt: skip
    assert kinds["product_view"] > kinds["add_to_cart"] > kinds["purchase"] > kinds["refund"] > 100


def test_a_list_has_positions_from_one(shop_events):
    lists = [event for event in shop_events if event["event_type"] == "product_list_view"]

    for event in lists:
        assert [item["position"] for item in event["items"]] == [*range(1, len(event["items"]) + 1)]
        assert len({item["product_id"] for item in event["items"]}) == len(event["items"])


def test_the_lines_of_an_order_add_up_and_have_the_prices_of_the_catalogue(shop, shop_events):
    prices = {product["product_id"]: product["price"] for product in shop.products}

    for event in shop_events:
        if event["event_type"] == "purchase":
            assert event["value"] == pytest.approx(sum(item["value"] for item in event["items"]))
            assert event["quantity"] == sum(item["quantity"] for item in event["items"])
            for item in event["items"]:
                price = prices[item["product_id"]]
                assert item["value"] == pytest.approx(item["quantity"] * price, abs=0.005)


def test_what_is_bought_was_put_into_the_cart_before(shop_events):
    cart = defaultdict(set)
    for event in shop_events:
        if event["event_type"] == "add_to_cart":
            cart[event["session_id"]].add(event["product_id"])
        elif event["event_type"] == "remove_from_cart":
            cart[event["session_id"]].remove(event["product_id"])
        elif event["event_type"] == "purchase":
            assert {item["product_id"] for item in event["items"]} <= cart[event["session_id"]]


def test_refunds_and_ratings_follow_the_purchase_of_the_same_person(shop_events):
    bought = {}
    for event in shop_events:
        order = event.get("properties", {}).get("order_id")
        who = event.get("user_id") or event["anonymous_id"]
        if event["event_type"] == "purchase":
            bought |= {(order, who, item["product_id"]): item for item in event["items"]}
        elif event["event_type"] == "refund":
            line = bought[order, who, event["product_id"]]
            assert (event["quantity"], event["value"]) == (line["quantity"], line["value"])
        elif event["event_type"] == "rate":
            assert (order, who, event["product_id"]) in bought
            assert event["value"] in {1, 2, 3, 4, 5}


def test_a_login_links_both_ids_and_parts_the_visit(shop_events):
    logged_in = set()
    logins = {e["session_id"] for e in shop_events if e["event_type"] == "login"}
    for event in shop_events:
        session = event.get("session_id")
        if event["event_type"] == "login":
            assert event["user_id"][-5:] == event["anonymous_id"][-5:]
            logged_in.add(session)
        elif session in logins:
            assert ("user_id" in event) == (session in logged_in)
    assert len(logins) > 1000


def test_popularity_has_a_long_tail(shop, shop_events):
    views = Counter(e["product_id"] for e in shop_events if e["event_type"] == "product_view")
    counts = np.sort([views[product["product_id"]] for product in shop.products])[::-1]

    assert 0.45 < counts[:600].sum() / counts.sum() < 0.8
    assert counts[0] > 50 * max(1, np.median(counts) / 10)


def test_sundays_and_evenings_are_busy(shop_events):
    days = Counter(event["occurred_at"][:10] for event in shop_events)
    by_weekday = defaultdict(list)
    for day, count in days.items():
        by_weekday[date.fromisoformat(day).weekday()].append(count)
    means = {weekday: np.mean(counts) for weekday, counts in by_weekday.items()}
    hours = Counter(event["occurred_at"][11:13] for event in shop_events)

    assert max(means, key=means.get) == 6
    assert hours["20"] > 5 * hours["04"]


def test_coats_sell_in_winter_and_swimwear_in_summer():
    shop = simulate_shop(last_day=date(2025, 12, 31), days=365, events=60_000)
    category = {product["product_id"]: product["category"] for product in shop.products}
    months = defaultdict(Counter)
    for event in shop.events():
        if event["event_type"] == "product_view":
            months[category[event["product_id"]]][event["occurred_at"][5:7]] += 1

    assert months["Coats"]["12"] > 2 * months["Coats"]["06"]
    assert months["Swimwear"]["06"] > 2 * months["Swimwear"]["12"]


def test_products_are_coherent(shop):
    kinds = {kind.name: kind for kind in CATEGORIES}
    for product in shop.products:
        kind = kinds[product["category"]]
        assert product["size"] in kind.sizes
        assert product["material"] in {material.lower() for material in kind.materials}
        assert product["color"] in COLORS
        assert product["material"] in product["name"]
        assert f"{product['price']:.2f}".endswith(".99")
        assert product["price"] > 0
    names = {(product["category"], product["name"]) for product in shop.products}
    assert len(names) == len(shop.products)


def test_neighbours_of_what_a_person_saw_beat_what_is_popular(shop, shop_events):
    """Hit rate at 10 of products first seen in the last two weeks, item-kNN against popularity."""
    index = {product["product_id"]: i for i, product in enumerate(shop.products)}
    train, test = defaultdict(set), defaultdict(set)
    for event in shop_events:
        if event["event_type"] == "product_view":
            seen = train if event["occurred_at"] < "2026-03-18" else test
            person = event.get("user_id") or event["anonymous_id"]
            seen[person].add(index[event["product_id"]])
    matrix = np.zeros((len(train), len(index)), dtype=np.float32)
    for row, person in enumerate(train):
        matrix[row, list(train[person])] = 1
    popularity = matrix.sum(axis=0)
    similarity = matrix.T @ matrix / np.sqrt(np.outer(popularity + 10, popularity + 10))
    np.fill_diagonal(similarity, 0)
    hits = np.zeros(2)
    for row, person in enumerate(train):
        if wanted := test[person] - train[person]:
            for model, scores in enumerate((matrix[row] @ similarity, popularity)):
                ranked = np.argsort(-np.where(matrix[row] > 0, -1, scores))[:10]
                hits[model] += bool(wanted & set(ranked.tolist()))

    assert hits[0] > 1.5 * hits[1] > 0


@pytest.mark.parametrize("name", ["products", "customers", "days", "events"])
def test_a_size_below_one_is_refused(name):
    with pytest.raises(DatasetError, match=f"{name} must be >= 1, got 0"):
        simulate_shop(**SMALL | {name: 0})


def test_a_negative_seed_is_refused():
    with pytest.raises(DatasetError, match="seed must be >= 0, got -1"):
        simulate_shop(**SMALL, seed=-1)


@pytest.mark.parametrize("name", ["products", "customers", "days", "events"])
def test_the_smallest_shop_works(name):
    shop = simulate_shop(**SMALL | {name: 1})

    assert shop.event_count == len(list(shop.events())) > 0
