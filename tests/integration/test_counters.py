"""Product counters: each event type moves its own, by units, money and stars."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from event_types import CATALOGUE
from models.database import transaction
from models.product_metrics import COUNTERS, ProductMetrics
from tests.builders import NOW_MS, empty, store_events

COUNTED = {name: kind for name, kind in CATALOGUE.items() if kind.counter is not None}


def counters_of(session: Session, product_id: str) -> dict[str, Decimal]:
    """Give the counters that are not zero."""
    metrics = session.get_one(ProductMetrics, product_id)
    values = {name: Decimal(getattr(metrics, name)) for name in COUNTERS}
    return {name: value for name, value in values.items() if value}


@pytest.mark.parametrize(
    ("event_type", "moved"),
    [
        ("product_list_view", {"total_impressions": 1}),
        ("product_view", {"total_views": 1}),
        ("product_click", {"total_clicks": 1}),
        ("favorite_add", {"total_favorites": 1}),
        ("add_to_cart", {"total_cart_additions": 1}),
        ("remove_from_cart", {"total_cart_removals": 1}),
        ("purchase", {"total_sales": 3, "total_revenue": Decimal("4.5")}),
        ("refund", {"total_sales": -3, "total_revenue": Decimal("-4.5")}),
        ("rate", {"rating_sum": Decimal("4.5"), "rating_count": 1}),
        ("search", {}),
        ("made_up", {}),
    ],
)
def test_each_type_moves_its_counter(
    engine: Engine, session: Session, event_type: str, moved: dict[str, Any]
) -> None:
    store_events(engine, {"event_type": event_type, "product_id": "p", "quantity": 3, "value": 4.5})

    assert counters_of(session, "p") == moved


def test_an_event_with_items_counts_for_each_of_them_and_not_for_its_product(
    engine: Engine, session: Session
) -> None:
    items = [
        {"product_id": "a", "quantity": 2, "value": 10},
        {"product_id": "b", "value": "2.5"},
        {"product_id": ""},
    ]

    store_events(
        engine, {"event_type": "purchase", "product_id": "p", "value": 12.5, "items": items}
    )

    assert counters_of(session, "a") == {"total_sales": 2, "total_revenue": 10}
    assert counters_of(session, "b") == {"total_sales": 1, "total_revenue": Decimal("2.5")}
    assert set(session.scalars(select(ProductMetrics.product_id))) == {"a", "b"}


def test_revenue_is_exact_to_the_cent(engine: Engine, session: Session) -> None:
    sale = {"event_type": "purchase", "product_id": "p", "value": 0.1}

    store_events(engine, *[sale] * 30)

    assert session.get_one(ProductMetrics, "p").total_revenue == Decimal("3.0")


def test_a_rating_without_stars_is_none(engine: Engine, session: Session) -> None:
    store_events(engine, {"event_type": "rate", "product_id": "p"})

    assert counters_of(session, "p") == {}


def test_the_last_event_is_the_latest_and_not_the_last_to_come(
    engine: Engine, session: Session
) -> None:
    view = {"event_type": "product_view", "product_id": "p"}
    store_events(engine, {**view, "occurred_at": NOW_MS - 1000})
    store_events(engine, {**view, "occurred_at": NOW_MS - 9000})

    last = session.get_one(ProductMetrics, "p").last_event_at

    assert last is not None
    assert int(last.timestamp() * 1000) == NOW_MS - 1000


_cents = st.integers(-99_999, 99_999).map(lambda cents: cents / 100)
_lines = st.fixed_dictionaries(
    {"product_id": st.sampled_from("abc")},
    optional={"quantity": st.integers(0, 9), "value": _cents},
)
_events = st.fixed_dictionaries(
    {"event_type": st.sampled_from([*COUNTED, "search"])},
    optional={
        "product_id": st.sampled_from("abc"),
        "quantity": st.integers(0, 9),
        "value": _cents,
        "items": st.lists(_lines, max_size=3),
    },
)


def count_by_hand(events: list[dict[str, Any]]) -> dict[str, dict[str, Decimal]]:
    """Count events in Python, from the words of the catalogue alone."""
    counted: dict[str, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(COUNTERS, Decimal()))
    for event in events:
        kind = CATALOGUE[event["event_type"]]
        lines = event.get("items") or ([event] if "product_id" in event else [])
        for line in lines:
            counters = counted[line["product_id"]]
            value = line.get("value")
            amount = Decimal(str(value)) if value is not None else Decimal()
            if kind.counter == "sales":
                counters["total_sales"] += kind.sign * line.get("quantity", 1)
                counters["total_revenue"] += kind.sign * amount
            elif kind.counter == "ratings":
                counters["rating_sum"] += amount
                counters["rating_count"] += value is not None
            elif kind.counter is not None:
                counters[f"total_{kind.counter}"] += 1
    return counted


@hypothesis_settings(max_examples=40)
@given(events=st.lists(_events, min_size=1, max_size=15))
def test_the_counters_of_any_events_are_those_counted_by_hand(
    engine: Engine, events: list[dict[str, Any]]
) -> None:
    empty(engine)
    store_events(engine, *events)

    with transaction(engine) as session:
        stored = {
            metrics.product_id: {name: Decimal(getattr(metrics, name)) for name in COUNTERS}
            for metrics in session.scalars(select(ProductMetrics))
        }
    assert stored == count_by_hand(events)
