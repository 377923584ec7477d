"""Cleaning up: it says first what would go, and all figures stay right after it went."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from models.api_keys import ADMIN, create_key
from models.cleanup import remove_wanted
from models.daily_aggregates import read_sealed_through
from models.database import engine_options, transaction
from models.event_list import EventFilter
from models.invariants import check_invariants
from models.partitions import lock_for_purge
from models.product_metrics import ProductMetrics
from settings import Settings
from tasks.aggregate import aggregate_dirty
from tasks.retention import FEWEST_DAYS, purge
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, body, count_events, store_events
from tests.integration.test_door import check_problem

CLEANUP, REALLY = "/api/events/cleanup", "dry_run=false"
Headers = dict[str, str]
NEVER = date.min


def sale(days_ago: float, **fields: Any) -> dict[str, Any]:
    return {
        "event_type": "purchase",
        "product_id": "p1",
        "value": 2.5,
        "user_id": "u1",
        "occurred_at": NOW_MS - int(days_ago * DAY_MS),
        **fields,
    }


def sample(engine: Engine) -> None:
    store_events(
        engine,
        sale(0),
        sale(10, event_type="login"),
        sale(20),
        sale(20, user_id="u2"),
        sale(10, user_id=None, anonymous_id="a1"),
        # An id without a time, and so in a partition of its own.
        {"event_type": "product_view", "product_id": "p1", "user_id": "u1", "message_id": "m"},
    )
    aggregate_dirty(engine, zone="UTC", now=NOW)


def clean_up(client: FlaskClient, admin: Headers, query: str, status: int = 200) -> Any:
    answer = client.delete(f"{CLEANUP}?{query}", headers=admin)
    assert answer.status_code == status, answer.text
    return body(answer)


def check(engine: Engine, client: redis.Redis, zone: str = "UTC") -> None:
    """Check the invariants, with the days that were touched as they are and counted again."""
    for _ in range(2):
        broken = [item for item in check_invariants(engine, client, zone=zone) if not item.ok]
        assert broken == []
        aggregate_dirty(engine, zone=zone, now=NOW)


def test_a_dry_run_is_the_default_and_says_what_would_go(
    client: FlaskClient, engine: Engine, session: Session, admin: Headers
) -> None:
    sample(engine)

    told = clean_up(client, admin, "user_id=u1")

    assert told == {
        "dry_run": True,
        "events": 4,
        "by_type": {"purchase": 2, "product_view": 1, "login": 1},
        "by_day": {"2026-02-23": 1, "2026-03-05": 1, "2026-03-15": 2},
        "oldest": "2026-02-23T12:00:00+00:00",
        "newest": "2026-03-15T12:00:00+00:00",
        "older_than": None,
    }
    assert count_events(session) == 6


@pytest.mark.parametrize(
    ("query", "gone"),
    [
        ("user_id=u1", 4),
        ("anonymous_id=a1", 1),
        ("user_id=u1&older_than_days=10", 1),
        ("user_id=u1&older_than_days=9", 2),
        ("user_id=u1&anonymous_id=a1", 0),
        ("user_id=nobody", 0),
    ],
)
def test_a_persons_events_go_and_every_figure_follows(
    client: FlaskClient,
    engine: Engine,
    session: Session,
    redis_client: redis.Redis,
    admin: Headers,
    query: str,
    gone: int,
) -> None:
    sample(engine)
    told = clean_up(client, admin, query)

    done = clean_up(client, admin, f"{query}&{REALLY}")

    assert (told["events"], done["events"], done["more"], done["dry_run"]) == (
        gone,
        gone,
        False,
        False,
    )
    assert count_events(session) == 6 - gone
    check(engine, redis_client)
    assert clean_up(client, admin, query)["events"] == 0


def test_counters_go_down_by_what_the_events_had_added(
    client: FlaskClient, engine: Engine, session: Session, admin: Headers
) -> None:
    sample(engine)

    clean_up(client, admin, f"user_id=u1&{REALLY}")

    metrics = session.get_one(ProductMetrics, "p1")
    assert (metrics.total_sales, metrics.total_views) == (2, 0)
    assert metrics.total_revenue == Decimal(5)


def test_events_of_sealed_days_go_too_and_their_days_keep_their_figures(
    client: FlaskClient, engine: Engine, redis_client: redis.Redis, admin: Headers
) -> None:
    sample(engine)
    store_events(engine, sale(18))
    # Deletes day 20 and seals the three days after it too, whose partitions are kept.
    purge(engine, days=19, zone="UTC", now=NOW)
    with transaction(engine) as session:
        assert (read_sealed_through(session) or NEVER) >= TODAY - timedelta(days=18)

    done = clean_up(client, admin, f"user_id=u1&{REALLY}")

    assert done["events"] == 4
    check(engine, redis_client)
    purge(engine, days=FEWEST_DAYS, zone="UTC", now=NOW)
    check(engine, redis_client)


def test_old_events_of_everybody_are_left_to_the_purge(
    client: FlaskClient, engine: Engine, redis_client: redis.Redis, admin: Headers
) -> None:
    sample(engine)
    queue = "millrace:celery:default"

    told = clean_up(client, admin, "older_than_days=10")
    assert redis_client.llen(queue) == 0
    queued = clean_up(client, admin, f"older_than_days=10&{REALLY}", status=202)

    assert told == {
        "dry_run": True,
        "events": 2,
        "by_type": {"purchase": 2},
        "by_day": {"2026-02-23": 2},
        "oldest": "2026-02-23T12:00:00+00:00",
        "newest": "2026-02-23T12:00:00+00:00",
        "older_than": "2026-03-05",
    }
    assert queued == {**told, "dry_run": False, "queued": "retention.purge"}
    assert redis_client.llen(queue) == 1
    assert purge(engine, days=10, zone="UTC", now=NOW).events == told["events"]
    check(engine, redis_client)


def test_a_request_deletes_so_many_events_and_says_that_there_are_more(
    client: FlaskClient,
    engine: Engine,
    redis_client: redis.Redis,
    admin: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.api.cleanup.MAX_REMOVED", 3)
    monkeypatch.setattr("models.cleanup.CHUNK", 2)
    store_events(engine, *(sale(n) for n in range(5)))

    parts = [clean_up(client, admin, f"user_id=u1&{REALLY}") for _ in range(2)]

    assert [(part["events"], part["more"]) for part in parts] == [(3, True), (2, False)]
    check(engine, redis_client)


def test_a_removal_waits_for_a_purge(engine: Engine, settings: Settings) -> None:
    store_events(engine, sale(0))
    options = engine_options("hasty")
    options["connect_args"]["options"] += " -c lock_timeout=100ms"
    hasty = create_engine(settings.sqlalchemy_url, **options)

    with transaction(engine) as purging:
        lock_for_purge(purging)
        with pytest.raises(OperationalError, match="lock timeout"):
            remove_wanted(hasty, EventFilter(user_id="u1"), zone="UTC", limit=9, today=TODAY)

    assert (
        remove_wanted(hasty, EventFilter(user_id="u1"), zone="UTC", limit=9, today=TODAY).events
        == 1
    )
    hasty.dispose()


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 422, "nothing_named"),
        (REALLY, 422, "nothing_named"),
        ("user_id=", 422, "invalid"),
        (f"older_than_days=3&{REALLY}", 422, "too_young"),
        ("older_than_days=0", 422, "invalid"),
        ("older_than_days=36501", 422, "invalid"),
        ("user_id=u1&dry_run=perhaps", 422, "invalid"),
    ],
)
def test_a_cleanup_of_everything_is_refused(
    client: FlaskClient,
    engine: Engine,
    session: Session,
    admin: Headers,
    query: str,
    status: int,
    code: str,
) -> None:
    store_events(engine, sale(0))

    check_problem(client.delete(f"{CLEANUP}?{query}", headers=admin), status, code)

    assert count_events(session) == 1


def test_the_oldest_day_that_can_be_named_is_answered(client: FlaskClient, admin: Headers) -> None:
    assert clean_up(client, admin, "older_than_days=36500")["events"] == 0
    assert clean_up(client, admin, "older_than_days=36500&user_id=u1")["events"] == 0


def test_cleaning_up_needs_the_scope_erase(client: FlaskClient, engine: Engine) -> None:
    with transaction(engine) as session:
        token = create_key(session, kind=ADMIN, name="reader", scopes=("read", "export"))

    answer = client.delete(f"{CLEANUP}?user_id=u1", headers={"Authorization": f"Bearer {token}"})

    check_problem(answer, 403, "scope_missing")


def test_the_catalogue_of_types_is_listed_by_name(client: FlaskClient, admin: Headers) -> None:
    listed = body(client.get("/api/event-types/?limit=1000", headers=admin))
    first = body(client.get("/api/event-types?limit=2", headers=admin))
    after = f"cursor={first['next_cursor']}&limit=1000"
    rest = body(client.get(f"/api/event-types?{after}", headers=admin))

    names = [kind["name"] for kind in listed["event_types"]]
    assert names == sorted(names)
    assert listed["next_cursor"] is None
    assert first["event_types"] + rest["event_types"] == listed["event_types"]
    (refund,) = [kind for kind in listed["event_types"] if kind["name"] == "refund"]
    assert refund == {
        "name": "refund",
        "category": "order",
        "action": "refund",
        "colour": "#88d27a",
        "counter": "sales",
        "sign": -1,
        "weight": 0.0,
        "synonyms": ["order_refunded", "return", "cancellation"],
        "own": False,
    }
