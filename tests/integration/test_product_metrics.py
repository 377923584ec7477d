"""Product metrics: from the door to the counters and rates that are read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from app.paging import write_cursor
from models.database import transaction
from models.metrics_report import SORTS
from models.product_metrics import ProductMetrics, bulk_ensure_metrics, ensure_metrics
from models.products import upsert_products
from models.removal import remove_events
from tasks.aggregate import aggregate_dirty
from tasks.ingest import Drainer
from tasks.retention import purge
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, store_events
from tests.integration.test_door import check_problem

URL = "/api/products"
Headers = dict[str, str]
Post = Callable[..., Any]


def metrics_of(client: FlaskClient, admin: Headers, product_id: str, **query: Any) -> Any:
    url = f"{URL}/{quote(product_id)}/metrics"
    answer = client.get(url, query_string=query, headers=admin)
    assert answer.status_code == 200, answer.text
    return answer.json


def listed(client: FlaskClient, admin: Headers, **query: Any) -> Any:
    answer = client.get(f"{URL}/metrics", query_string=query, headers=admin)
    assert answer.status_code == 200, answer.text
    return answer.json


def ids(page: Any) -> list[str]:
    return [product["product_id"] for product in page["products"]]


def counters(answer: Any) -> dict[str, Any]:
    """Give the counters that are not zero."""
    return {
        name: value
        for name, value in answer.items()
        if name.startswith("total_") and value not in (0, "0.00")
    }


# Rows for products


def test_metrics_rows_are_made_once_and_never_overwritten(engine: Engine, session: Session) -> None:
    store_events(engine, {"event_type": "product_view", "product_id": "b"})

    assert bulk_ensure_metrics(session, ["c", "b", "a", "c"]) == 2
    assert bulk_ensure_metrics(session, ["c", "b", "a", "d"]) == 1
    assert bulk_ensure_metrics(session, []) == 0
    assert (ensure_metrics(session, "e"), ensure_metrics(session, "e")) == (1, 0)
    rows = session.scalars(select(ProductMetrics).order_by(ProductMetrics.product_id))
    assert [(row.product_id, row.total_views) for row in rows] == [
        ("a", 0),
        ("b", 1),
        ("c", 0),
        ("d", 0),
        ("e", 0),
    ]


def test_two_that_ensure_overlapping_products_at_once_make_each_row_once(engine: Engine) -> None:
    start = threading.Barrier(2)

    def ensure(order: int) -> int:
        made = 0
        for part in range(20):
            wanted = [f"p{part * 50 + n}" for n in range(100)][::order]
            start.wait(30)
            with transaction(engine) as session:
                made += bulk_ensure_metrics(session, wanted)
        return made

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(ensure, (1, -1)))

    with transaction(engine) as session:
        assert session.query(ProductMetrics).count() == 20 * 50 + 50 == sum(made)


# The counting rules, from the door to the answer


def test_what_comes_in_at_the_door_is_read_as_counters_and_rates(
    client: FlaskClient, admin: Headers, post: Post, drainer: Drainer
) -> None:
    places = [{"product_id": "a", "position": 1}, {"product_id": "b", "position": 4}]
    order = [
        {"product_id": "a", "quantity": 2, "value": 39.98},
        {"product_id": "b", "quantity": 1, "value": 0.1},
    ]
    post(
        {"event_type": "product_list_view", "items": places},
        {
            "event_type": "list_view",
            "items": [{"product_id": "a", "position": 2}, {"product_id": "b"}],
        },
        {"event_type": "view", "product_id": "a"},
        {"event_type": "product_view", "product_id": "a"},
        {"event_type": "product_view", "product_id": "a"},
        {"event_type": "product_view", "product_id": "a"},
        {"event_type": "click", "product_id": "a"},
        {"event_type": "favorite", "product_id": "a"},
        {"event_type": "favorite_remove", "product_id": "a"},
        {"event_type": "add_to_cart", "product_id": "a"},
        {"event_type": "remove_from_cart", "product_id": "a"},
        {"event_type": "rating", "product_id": "a", "value": 4},
        {"event_type": "rate", "product_id": "a", "value": 5},
        {"event_type": "purchase", "value": 40.08, "items": order},
        {"event_type": "refund", "items": [{"product_id": "a", "quantity": 1, "value": 19.99}]},
    )
    drainer.drain()

    a, b = metrics_of(client, admin, "a"), metrics_of(client, admin, "b")

    assert counters(a) == {
        "total_impressions": 2,
        "total_views": 4,
        "total_clicks": 1,
        "total_favorites": 1,
        "total_cart_additions": 1,
        "total_cart_removals": 1,
        "total_sales": 1,
        "total_revenue": "19.99",
    }
    assert (a["average_rating"], a["rating_count"]) == (4.5, 2)
    assert (a["average_position"], b["average_position"]) == (1.5, 4.0)
    assert counters(b) == {"total_impressions": 2, "total_sales": 1, "total_revenue": "0.10"}
    assert (a["from"], a["date_from"], a["date_to"]) == ("aggregates", None, None)
    assert a["last_event_at"] is not None
    rates = a["rates"]
    assert {name: (rate["value"], rate["trials"]) for name, rate in rates.items()} == {
        "click_through_rate": (0.5, 2),
        "cart_rate": (0.25, 4),
        "conversion_rate": (0.25, 4),
        "revenue_per_view": (pytest.approx(4.9975), 4),
    }
    assert rates["click_through_rate"]["low"] == pytest.approx(0.0945, abs=1e-4)
    assert rates["click_through_rate"]["high"] == pytest.approx(0.9055, abs=1e-4)
    # The shop: 1 click of 4 impressions.
    assert rates["click_through_rate"]["smoothed"] == pytest.approx((1 + 50 / 4) / 52, abs=1e-6)
    assert b["rates"]["cart_rate"]["value"] is None


def test_a_refunded_order_takes_its_units_and_money_back_exactly_once(
    client: FlaskClient, admin: Headers, post: Post, drainer: Drainer
) -> None:
    lines = [{"product_id": "p", "quantity": 3, "value": 0.3}]
    sale = {"event_type": "purchase", "items": lines}

    gone = [{"event_type": name, "items": lines} for name in ("Order Cancelled", "Order Refunded")]
    post(*[sale] * 3, *gone)
    drainer.drain()

    answer = metrics_of(client, admin, "p")
    assert counters(answer) == {"total_sales": 6, "total_revenue": "0.60"}
    assert answer["rates"]["conversion_rate"]["value"] is None


def test_more_units_than_views_are_a_conversion_of_one(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    store_events(
        engine,
        {"event_type": "product_view", "product_id": "p"},
        {"event_type": "purchase", "product_id": "p", "quantity": 5, "value": 50},
    )

    rates = metrics_of(client, admin, "p")["rates"]

    assert (rates["conversion_rate"]["value"], rates["conversion_rate"]["high"]) == (1.0, 1.0)
    assert rates["revenue_per_view"]["value"] == 50.0


@pytest.mark.parametrize("product_id", ["a/b", "a b", "50%", "ä😀", "x/metrics/y"])
def test_metrics_are_found_by_any_id(
    engine: Engine, client: FlaskClient, admin: Headers, product_id: str
) -> None:
    store_events(engine, {"event_type": "product_view", "product_id": product_id})

    answer = metrics_of(client, admin, product_id)

    assert (answer["product_id"], answer["total_views"]) == (product_id, 1)


@pytest.mark.parametrize("product_id", ["metrics", "a/metrics", "/a", "a/"])
def test_metrics_of_an_id_that_no_path_can_hold_are_found_by_the_query(
    engine: Engine, client: FlaskClient, admin: Headers, product_id: str
) -> None:
    for name in (product_id, "other"):
        store_events(engine, {"event_type": "product_view", "product_id": name})

    assert ids(listed(client, admin, product_id=product_id)) == [product_id]


def test_a_product_without_events_has_zeros_and_an_unknown_one_is_not_found(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    with transaction(engine) as session:
        upsert_products(session, [{"product_id": "p", "name": "Bag"}], now=NOW)

    answer = metrics_of(client, admin, "p")

    assert (answer["name"], counters(answer), answer["last_event_at"]) == ("Bag", {}, None)
    assert answer["rates"]["cart_rate"] == {
        "value": None,
        "low": 0.0,
        "high": 1.0,
        "smoothed": 0.0,
        "trials": 0,
    }
    check_problem(client.get(f"{URL}/q/metrics", headers=admin), 404, "unknown_product")


# Ranges of days


def at_day(days_ago: int, event_type: str = "product_view", **fields: Any) -> dict[str, Any]:
    occurred_at = NOW_MS - days_ago * DAY_MS
    return {"event_type": event_type, "product_id": "p", "occurred_at": occurred_at, **fields}


def test_a_range_is_exact_from_daily_rows_events_and_both(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    store_events(engine, at_day(3), at_day(2), at_day(2), at_day(1, "purchase", value=0.1))
    span = {"date_from": TODAY - timedelta(days=2), "date_to": TODAY}

    raw = metrics_of(client, admin, "p", **span)
    aggregate_dirty(engine, zone="UTC", now=NOW)
    clean = metrics_of(client, admin, "p", **span)
    store_events(engine, at_day(1, "purchase", value=0.2), at_day(0))
    both = metrics_of(client, admin, "p", **span)

    assert (raw["from"], clean["from"], both["from"]) == ("events", "aggregates", "events")
    assert counters(raw) == counters(clean)
    assert counters(clean) == {"total_views": 2, "total_sales": 1, "total_revenue": "0.10"}
    assert counters(both) == {"total_views": 2, "total_sales": 2, "total_revenue": "0.30"}
    assert (both["date_from"], both["date_to"]) == ("2026-03-13", "2026-03-15")
    assert metrics_of(client, admin, "p", date_from=TODAY)["total_views"] == 1


def test_a_purged_day_keeps_its_metrics(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    store_events(engine, at_day(40), at_day(40, "purchase", value=9.5), at_day(0))
    day = TODAY - timedelta(days=40)
    span = {"date_from": day, "date_to": day + timedelta(days=1)}
    before = metrics_of(client, admin, "p", **span)

    purge(engine, days=30, zone="UTC", now=NOW)

    after = metrics_of(client, admin, "p", **span)
    assert (
        counters(after)
        == counters(before)
        == {
            "total_views": 1,
            "total_sales": 1,
            "total_revenue": "9.50",
        }
    )
    assert after["from"] == "aggregates"
    assert metrics_of(client, admin, "p")["total_views"] == 2


def test_days_are_those_of_the_reporting_zone(
    engine: Engine, app_with: Callable[..., FlaskClient], admin: Headers
) -> None:
    client = app_with(report_timezone="Pacific/Chatham")
    # 12:00 UTC is already the next day there.
    store_events(engine, at_day(0), zone="Pacific/Chatham")
    tomorrow = TODAY + timedelta(days=1)

    def views(first: Any, end: Any) -> int:
        answer = metrics_of(client, admin, "p", date_from=first, date_to=end)
        return int(answer["total_views"])

    assert views(TODAY, tomorrow) == 0
    assert views(tomorrow, tomorrow + timedelta(days=1)) == 1
    aggregate_dirty(engine, zone="Pacific/Chatham", now=NOW)
    assert views(tomorrow, tomorrow + timedelta(days=1)) == 1


@pytest.mark.parametrize("dirty", [True, False], ids=["events", "daily rows"])
def test_the_list_of_a_range_sums_its_days(
    engine: Engine, client: FlaskClient, admin: Headers, dirty: bool
) -> None:
    store_events(
        engine,
        at_day(2),
        at_day(1),
        at_day(1, product_id="q"),
        at_day(9, product_id="q"),
        at_day(9, product_id="q"),
    )
    if not dirty:
        aggregate_dirty(engine, zone="UTC", now=NOW)

    page = listed(client, admin, date_from=TODAY - timedelta(days=5), sort="views")

    assert [(p["product_id"], p["total_views"]) for p in page["products"]] == [("p", 2), ("q", 1)]
    assert page["from"] == ("events" if dirty else "aggregates")


# The list


def fill(engine: Engine) -> None:
    """Store events of six products, some alike."""
    with transaction(engine) as session:
        upsert_products(session, [{"product_id": "a", "category": "bags"}], now=NOW)
    for number, product_id in enumerate("abcdef"):
        view = {"product_id": product_id, "event_type": "product_view"}
        store_events(
            engine,
            *[view] * (number % 3 + 1),
            {**view, "event_type": "product_list_view"},
            {**view, "event_type": "product_click"},
            {**view, "event_type": "purchase", "value": 1.1 * (number % 2)},
            {**view, "event_type": "rate", "value": number % 4 + 1},
        )


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("ranged", [False, True], ids=["all time", "range"])
@pytest.mark.parametrize("sort", SORTS)
def test_pages_by_any_sort_give_each_product_once_and_in_order(
    engine: Engine, client: FlaskClient, admin: Headers, sort: str, order: str, ranged: bool
) -> None:
    fill(engine)
    query: dict[str, Any] = {"sort": sort, "order": order, "limit": 2}
    if ranged:
        query["date_from"] = TODAY - timedelta(days=1)
    found, cursor = [], None
    while True:
        page = listed(client, admin, **query, cursor=cursor)
        found += page["products"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    def value(product: Any) -> Decimal:
        if sort in product["rates"]:
            return Decimal(product["rates"][sort]["smoothed"])
        name = "smoothed_rating" if sort == "rating" else f"total_{sort}"
        return Decimal(product[name])

    keys = [(value(product), product["product_id"]) for product in found]
    assert keys == sorted(keys, reverse=order == "desc")
    assert sorted(product["product_id"] for product in found) == list("abcdef")


def test_one_lucky_product_does_not_lead_the_rates(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    def seen(product_id: str, impressions: int, clicks: int) -> None:
        line = {"product_id": product_id}
        store_events(
            engine,
            *[{**line, "event_type": "product_list_view"}] * impressions,
            *[{**line, "event_type": "product_click"}] * clicks,
        )

    seen("lucky", 1, 1)
    seen("proven", 300, 90)
    seen("dull", 600, 10)

    page = listed(client, admin, sort="click_through_rate")

    assert ids(page) == ["proven", "lucky", "dull"]


def test_the_pages_of_a_rate_keep_the_first_page_s_rate_of_the_shop(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    for product_id in "abcd":
        store_events(engine, {"event_type": "product_list_view", "product_id": product_id})
    first = listed(client, admin, sort="click_through_rate", limit=2)
    store_events(
        engine,
        *[{"event_type": kind, "product_id": "z"} for kind in ("product_list_view", "click") * 9],
    )

    second = listed(client, admin, sort="click_through_rate", limit=3, cursor=first["next_cursor"])

    assert (ids(first), ids(second)) == (["d", "c"], ["b", "a"])


def test_the_list_can_be_one_category(engine: Engine, client: FlaskClient, admin: Headers) -> None:
    fill(engine)

    assert ids(listed(client, admin, category="bags")) == ["a"]
    assert ids(listed(client, admin, category="none")) == []


def test_an_empty_shop_has_an_empty_list(client: FlaskClient, admin: Headers) -> None:
    for query in ({}, {"sort": "rating"}, {"date_from": "2026-01-01"}):
        assert listed(client, admin, **query)["products"] == []


@pytest.mark.parametrize(
    ("sort", "cursor"),
    [
        ("views", "nonsense"),
        ("views", write_cursor("clicks desc", "1", 0.0, "a")),
        ("views", write_cursor("views desc", "1.5", 0.0, "a")),
        ("views", write_cursor("views desc", "9" * 30, 0.0, "a")),
        ("views", write_cursor("views desc", "1", 0, "a")),
        ("revenue", write_cursor("revenue desc", "1e9999999", 0.0, "a")),
        ("cart_rate", write_cursor("cart_rate desc", "nan", 0.0, "a")),
        ("cart_rate", write_cursor("cart_rate desc", "1", 0.0, "a\0")),
    ],
)
def test_a_cursor_of_another_list_is_refused(
    client: FlaskClient, admin: Headers, sort: str, cursor: str
) -> None:
    query = {"sort": sort, "cursor": cursor}

    check_problem(
        client.get(f"{URL}/metrics", query_string=query, headers=admin), 400, "bad_cursor"
    )


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "colour"},
        {"sort": ""},
        {"order": "up"},
        {"limit": "0"},
        {"date_from": "2026-02-30"},
        {"date_from": "9999-12-31"},
        {"date_from": "2026-03-02", "date_to": "2026-03-02"},
        {"date_from": "1980-01-01", "date_to": "2026-03-02"},
    ],
)
def test_a_query_that_cannot_be_used_is_refused(
    client: FlaskClient, admin: Headers, query: dict[str, str]
) -> None:
    answer = client.get(f"{URL}/metrics", query_string=query, headers=admin)

    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"


# Coverage, and what a removal leaves


def test_coverage_compares_catalogue_and_metrics(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    assert client.get(f"{URL}/coverage", headers=admin).json["share"] is None
    with transaction(engine) as session:
        products = [{"product_id": product_id} for product_id in "abcd"]
        upsert_products(session, products, now=NOW)
    store_events(engine, *[{"event_type": "view", "product_id": name} for name in "axy"])

    answer = client.get(f"{URL}/coverage/", headers=admin)

    assert answer.json == {
        "products": 4,
        "with_metrics": 1,
        "without_metrics": 3,
        "unknown_products": 2,
        "share": 0.25,
    }


def test_removed_events_leave_the_metrics(
    engine: Engine, client: FlaskClient, admin: Headers
) -> None:
    store_events(engine, at_day(0), at_day(0, user_id="u"))
    with transaction(engine) as session:
        remove_events(session, "user_id = :user", {"user": "u"}, zone="UTC")

    assert metrics_of(client, admin, "p")["total_views"] == 1
    assert metrics_of(client, admin, "p", date_from=TODAY)["total_views"] == 1


def test_counting_stays_heap_only(session: Session) -> None:
    indexed = session.scalars(
        text(
            "SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a "
            "ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
            "WHERE i.indrelid = 'product_metrics'::regclass"
        )
    ).all()

    assert indexed == ["product_id"]
