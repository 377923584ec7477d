"""Every report and the pages of the event list over the app's own requests, with their limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlencode

from flask.testing import FlaskClient
from sqlalchemy import Engine, delete, select, text

from app.factory import create_app
from app.paging import write_cursor
from event_ids import first_id_of
from models.api_keys import ADMIN, ApiKey, create_key, hash_key
from models.database import transaction
from models.events import Event
from settings import Settings

#: Milliseconds that an answer may take. The exact people of a month are counted from its events.
AGGREGATES_MS, RAW_DAY_MS, RAW_MONTH_MS, PAGE_MS = 50, 200, 2000, 20
_ANALYTICS = "/api/admin/analytics"


@dataclass(frozen=True, slots=True)
class Question:
    """One request to measure, and how long it may take."""

    name: str
    path: str
    limit_ms: int
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the answers to a question took."""

    name: str
    path: str
    status: int
    source: str | None
    median_ms: float
    p95_ms: float
    limit_ms: int

    @property
    def ok(self) -> bool:
        """Tell whether it was answered within the limit."""
        return self.status == 200 and self.p95_ms <= self.limit_ms

    def as_answer(self) -> dict[str, Any]:
        """Give the figures by name."""
        return {**asdict(self), "ok": self.ok}


def questions(engine: Engine, *, today: date) -> list[Question]:
    """List what is measured: the reports of the days before today, and pages with each filter."""
    return [*_reports(today), *_lists(engine, today)]


def _reports(today: date) -> Iterator[Question]:
    day = today - timedelta(days=2)
    month = {"date_from": today - timedelta(days=30), "date_to": today}
    all_days = {"date_from": today - timedelta(days=59), "date_to": today}
    for name, path, query in (
        ("daily summary", "daily-summary/", {"date": day}),
        ("active users from sketches", "active-users/", {"date": day, "method": "sketch"}),
        ("top services", "top-services/", month),
        ("top of a property", "top/", {**month, "property": "service_id"}),
        ("events over time by day", "events-over-time/", {**all_days, "group_by": "event_type"}),
        ("events over time by hour", "events-over-time/", {**month, "interval": "hour"}),
        ("popular products", "popular-products/", month),
        ("recommendations", "recommendations/", month),
        ("sessions", "sessions/", month),
    ):
        yield Question(name, f"{_ANALYTICS}/{path}?{urlencode(query)}", AGGREGATES_MS)
    yield Question(
        "active users, exact",
        f"{_ANALYTICS}/active-users/?date={day}",
        RAW_MONTH_MS,
        "both",
    )
    yield Question("product metrics", "/api/products/metrics?limit=50", AGGREGATES_MS)
    yield Question(
        "daily summary of a raw day",
        f"{_ANALYTICS}/daily-summary/?date={day}",
        RAW_DAY_MS,
        "events",
    )


def _lists(engine: Engine, today: date) -> Iterator[Question]:
    with transaction(engine) as session:
        lows = session.scalars(select(Event.event_id).order_by(Event.event_id).limit(60)).all()
        bought = session.scalars(
            select(Event)
            .where(Event.event_type == "purchase", Event.user_id.is_not(None))
            .order_by(Event.event_id.desc())
            .limit(1)
        ).one()
    cursors = {
        "first page": "",
        "middle page": write_cursor(first_id_of(today - timedelta(days=25))),
        "last page": write_cursor(str(lows[-1])),
    }
    for name, cursor in cursors.items():
        yield _page(f"events, {name}", {"cursor": cursor} if cursor else {})
    filters = {
        "user_id": bought.user_id,
        "anonymous_id": bought.anonymous_id,
        "session_id": bought.session_id,
        "product_id": bought.product_id,
        "event_type": "booking_created",
        "event_category": "order",
        "since": (today - timedelta(days=20)).isoformat() + "T00:00:00Z",
        "until": (today - timedelta(days=20)).isoformat() + "T00:00:00Z",
    }
    for name, value in filters.items():
        for place, cursor in cursors.items():
            more = {"cursor": cursor} if cursor else {}
            yield _page(f"events by {name}, {place}", {name: value, **more})
    nobody = {"user_id": "nobody", "event_type": "purchase"}
    yield _page("events of nobody", nobody)
    yield _page("events by entity", {"entity_type": "project", "entity_id": "none"})


def _page(name: str, query: dict[str, Any]) -> Question:
    return Question(name, "/api/events/?" + urlencode(query), PAGE_MS)


def measure(
    settings: Settings,
    engine: Engine,
    asked: list[Question],
    *,
    rounds: int,
    advance: Callable[[int], None],
) -> list[Timing]:
    """Ask each question some times, after one that does not count."""
    with _client(settings, engine) as ask:
        found = []
        for question in asked:
            if question.source == "events":
                _mark_dirty(engine, question)
            found.append(_time(ask, question, rounds))
            advance(1)
        return found


def _time(ask: Callable[[str], Any], question: Question, rounds: int) -> Timing:
    answer = ask(question.path)
    times_ms = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        answer = ask(question.path)
        times_ms.append((time.perf_counter() - began_s) * 1000)
    document = answer.get_json(silent=True)
    return Timing(
        name=question.name,
        path=question.path,
        status=answer.status_code,
        source=document.get("from") if isinstance(document, dict) else None,
        median_ms=round(median(times_ms), 2),
        p95_ms=round(quantiles(times_ms, n=20, method="inclusive")[-1], 2),
        limit_ms=question.limit_ms,
    )


def _mark_dirty(engine: Engine, question: Question) -> None:
    """Make a day one with late events, whose aggregates do not count any more."""
    day = question.path.rpartition("=")[2]
    with transaction(engine) as session:
        session.execute(
            text("INSERT INTO dirty_days (day) VALUES (CAST(:day AS date))"), {"day": day}
        )


@contextmanager
def _client(settings: Settings, engine: Engine) -> Iterator[Callable[[str], Any]]:
    """Give a function that asks the app in this process, with a token for as long as it takes."""
    with transaction(engine) as session:
        token = create_key(session, kind=ADMIN, name="bench reports", scopes=("read",))
    app = create_app(replace(settings, rate_limit=""))
    client: FlaskClient = app.test_client()
    headers = {"Authorization": f"Bearer {token}"}
    try:
        yield lambda path: client.get(path, headers=headers)
    finally:
        with transaction(engine) as session:
            session.execute(delete(ApiKey).where(ApiKey.key_hash == hash_key(token)))


def utc_today() -> date:
    """Give the day in UTC."""
    return datetime.now(UTC).date()
