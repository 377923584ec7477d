"""An event's way from the door into the tables, counted once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.events import Event
from models.product_metrics import ProductMetrics
from tasks.ingest import Drainer

Post = Callable[..., Any]


def test_an_event_is_stored_and_counted(post: Post, drainer: Drainer, session: Session) -> None:
    answer = post({"event_type": "product_view", "product_id": "p1", "anonymous_id": "a1"})
    result = drainer.drain()

    assert answer.status_code == 201
    assert result.stored == 1
    stored = session.scalars(select(Event)).one()
    assert str(stored.event_id) == answer.json["event_id"]
    assert session.get_one(ProductMetrics, "p1").total_views == 1


def test_a_batch_sent_twice_is_counted_once(post: Post, drainer: Drainer, session: Session) -> None:
    batch = [
        {
            "event_type": "purchase",
            "message_id": str(n),
            "product_id": "p1",
            "quantity": 2,
            "value": 9.9,
        }
        for n in range(3)
    ]
    post(*batch)
    post(*batch)
    result = drainer.drain()

    assert (result.stored, result.duplicate) == (3, 3)
    assert session.scalar(select(func.count()).select_from(Event)) == 3
    metrics = session.get_one(ProductMetrics, "p1")
    assert (metrics.total_sales, metrics.total_revenue) == (6, Decimal("29.7"))
