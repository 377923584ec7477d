"""Recounts: none finds drift while events come, go and are purged, and each finds what is wrong."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from cli.doctor.finding import ERROR, OK, WARNING, Finding, Patient
from cli.doctor.services import check_database
from models.counter_drift import SAMPLES
from models.database import transaction
from models.product_metrics import ProductMetrics
from models.removal import remove_events
from settings import Settings
from tasks import reconcile
from tasks.jobs import RECONCILE, run_job
from tasks.retention import purge
from tests.builders import DAY_MS, NOW, NOW_MS, TODAY, store_events

ORDER = [
    {"product_id": "a", "quantity": 2, "value": 39.98},
    {"product_id": "b", "value": 0.1, "position": 3},
]


def fill(engine: Engine) -> None:
    store_events(
        engine,
        {"event_type": "purchase", "items": ORDER},
        {"event_type": "product_list_view", "items": ORDER},
        {"event_type": "product_view", "product_id": "c", "occurred_at": NOW_MS - 40 * DAY_MS},
        {"event_type": "product_view", "product_id": "a", "occurred_at": NOW_MS - DAY_MS},
        {"event_type": "rate", "product_id": "a", "value": 4.5},
    )


def spoil(engine: Engine) -> None:
    """Change counters behind the back of everything: two products, and one row gone."""
    with transaction(engine) as session:
        session.execute(
            text(
                "UPDATE product_metrics SET total_views = total_views + 5, "
                "total_revenue = total_revenue - 0.01 WHERE product_id IN ('a', 'c')"
            )
        )
        session.execute(text("DELETE FROM product_metrics WHERE product_id = 'b'"))


def counters(engine: Engine) -> dict[str, tuple[int, Decimal, int]]:
    with transaction(engine) as session:
        rows = session.query(ProductMetrics).order_by(ProductMetrics.product_id).all()
        return {m.product_id: (m.total_views, m.total_revenue, m.total_sales) for m in rows}


def test_what_was_stored_purged_and_removed_has_no_drift(engine: Engine) -> None:
    fill(engine)
    purge(engine, days=30, zone="UTC", now=NOW)
    store_events(engine, {"event_type": "product_view", "product_id": "d", "user_id": "u"})
    with transaction(engine) as session:
        remove_events(session, "user_id = :user", {"user": "u"}, zone="UTC")
    before = counters(engine)

    found = reconcile.rebuild(engine, zone="UTC")

    assert (found.drift.checked, found.drift.drifted, found.corrected) == (4, 0, 0)
    assert found.drift.drift == {}
    assert found.drift.found == found.drift.expected
    assert found.drift.found["total_revenue"] == Decimal("40.08")
    assert found.drift.differ_by_day == 0
    assert counters(engine) == before


def test_drift_is_told_and_then_corrected(engine: Engine) -> None:
    fill(engine)
    purge(engine, days=30, zone="UTC", now=NOW)
    right = counters(engine)
    spoil(engine)
    wrong = counters(engine)

    told = reconcile.rebuild(engine, zone="UTC", dry_run=True)
    unchanged = counters(engine)
    done = reconcile.rebuild(engine, zone="UTC")
    again = reconcile.rebuild(engine, zone="UTC")

    assert (told.drift.drifted, told.corrected) == (3, 0)
    assert told.drift.drift == {
        "total_views": 10,
        "total_revenue": Decimal("0.12"),
        "total_sales": 1,
        "total_impressions": 1,
        "position_sum": 3,
        "position_count": 1,
    }
    assert unchanged == wrong
    assert (done.drift.drifted, done.corrected) == (3, 3)
    assert (again.drift.drifted, again.corrected) == (0, 0)
    assert counters(engine) == right


def test_sealed_days_and_the_events_of_the_others_are_a_second_count(engine: Engine) -> None:
    fill(engine)
    purge(engine, days=30, zone="UTC", now=NOW)
    with transaction(engine) as session:
        session.execute(text("UPDATE daily_product_metrics SET total_views = 7"))

    found = reconcile.rebuild(engine, zone="UTC", dry_run=True)

    assert (found.drift.drifted, found.drift.differ_by_day) == (0, 1)


def test_events_that_come_while_it_counts_are_no_drift_and_are_not_lost(engine: Engine) -> None:
    fill(engine)
    spoil(engine)
    stop = threading.Event()

    def keep_storing() -> int:
        stored = 0
        while not stop.is_set():
            stored += store_events(
                engine, *[{"event_type": "product_view", "product_id": name} for name in "abcxyz"]
            ).stored
        return stored

    def keep_removing() -> None:
        while not stop.is_set():
            with transaction(engine) as session:
                remove_events(session, "product_id = 'z'", {}, zone="UTC")

    with ThreadPoolExecutor(2) as pool:
        stored, removed = pool.submit(keep_storing), pool.submit(keep_removing)
        try:
            first = reconcile.rebuild(engine, zone="UTC")
            later = [reconcile.rebuild(engine, zone="UTC") for _ in range(5)]
        finally:
            stop.set()
        removed.result()

    assert first.drift.drifted == 3
    assert [found.drift.drifted for found in later] == [0] * 5
    views = {product_id: row[0] for product_id, row in counters(engine).items()}
    assert views["x"] == stored.result() // 6
    assert views["a"] == views["x"] + 1
    assert reconcile.rebuild(engine, zone="UTC").drift.drifted == 0


def test_a_purge_waits_for_the_count_and_the_count_for_the_purge(engine: Engine) -> None:
    fill(engine)
    counting = threading.Event()

    def progress(done: int, of: int) -> None:
        if done == 1:
            counting.set()

    with ThreadPoolExecutor(2) as pool:
        count = pool.submit(reconcile.rebuild, engine, zone="UTC", progress=progress)
        counting.wait(30)
        pool.submit(purge, engine, days=30, zone="UTC", now=NOW).result()

    assert count.result().drift.drifted == 0
    assert reconcile.rebuild(engine, zone="UTC").drift.drifted == 0


def test_every_product_is_in_the_sample_of_one_day_of_seven(engine: Engine) -> None:
    store_events(
        engine, *[{"event_type": "product_view", "product_id": f"p{n}"} for n in range(100)]
    )

    outcomes = [
        reconcile.reconcile(engine, day=TODAY + timedelta(days=n), zone="UTC")
        for n in range(SAMPLES)
    ]

    checked = [outcome["checked"] for outcome in outcomes]
    assert sum(checked) == 100
    assert all(checked)
    assert [outcome["drifted"] for outcome in outcomes] == [0] * SAMPLES


def run_reconcile(engine: Engine, now: datetime) -> Any:
    period = RECONCILE.last_period(now)
    return run_job(
        engine,
        RECONCILE.job,
        period,
        lambda: reconcile.reconcile(engine, day=now.date(), zone="UTC"),
        clock=lambda: now,
    )


def figures(client: FlaskClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    found = (line.split() for line in lines if line.startswith("millrace_reconcile"))
    return {name.removeprefix("millrace_reconcile_"): float(value) for name, value in found}


def test_the_last_reconcile_is_in_the_metrics_and_rings_when_counters_drift(
    engine: Engine, client: FlaskClient
) -> None:
    store_events(
        engine, *[{"event_type": "product_view", "product_id": f"p{n}"} for n in range(100)]
    )
    assert figures(client) == {}

    quiet = run_reconcile(engine, NOW - timedelta(hours=25))
    before = figures(client)
    with transaction(engine) as session:
        session.execute(text("UPDATE product_metrics SET total_clicks = 3"))
    loud = run_reconcile(engine, NOW - timedelta(hours=1))
    after = figures(client)

    assert before == {
        "checked_products": quiet["checked"],
        "drift_products": 0,
        "age_seconds": 25 * 3600,
    }
    assert after == {
        "checked_products": loud["checked"],
        "drift_products": loud["checked"],
        "age_seconds": 3600,
    }
    assert loud["drift"] == {"total_clicks": str(3 * loud["checked"])}


def test_the_doctor_sees_drift(engine: Engine, settings: Settings) -> None:
    patient = Patient(settings, Path("."), running=None, reachable=True)

    def counters_finding() -> Finding:
        return next(found for found in check_database(patient) if found.id == "counters")

    fill(engine)
    assert counters_finding().status == OK
    spoil(engine)
    for day in range(SAMPLES):
        run_reconcile(engine, NOW + timedelta(days=day))
        found = counters_finding()
        if found.status == ERROR:
            break

    assert found.status == ERROR
    assert "rebuild-metrics" in found.remedy


@pytest.mark.parametrize(("days", "status"), [(365, OK), (36_500, WARNING)])
def test_the_doctor_sees_that_a_server_has_no_room_for_the_locks_of_all_days(
    settings: Settings, days: int, status: str
) -> None:
    patient = Patient(
        replace(settings, retention_days=days), Path("."), running=None, reachable=True
    )

    found = next(found for found in check_database(patient) if found.id == "locks")

    assert found.status == status


@pytest.mark.parametrize("zone", ["Pacific/Chatham", "America/New_York"])
def test_the_second_count_uses_the_days_of_the_reporting_zone(
    engine: Engine, session: Session, zone: str
) -> None:
    old = NOW_MS - 40 * DAY_MS
    store_events(
        engine,
        *[
            {"event_type": "view", "product_id": "p", "occurred_at": old + n * DAY_MS // 3}
            for n in range(60)
        ],
        zone=zone,
    )
    purge(engine, days=30, zone=zone, now=NOW)

    found = reconcile.rebuild(engine, zone=zone)

    assert (found.drift.drifted, found.drift.differ_by_day) == (0, 0)
