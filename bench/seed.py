"""Fill an installation with millions of events, past the door: straight into the partitions."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from bench.seed_rows import rows_sql
from event_ids import DAY_MS
from models.database import transaction
from models.partitions import (
    attach_partition,
    create_apart,
    lock_partitions,
    partition_name,
    read_partition_days,
)
from models.product_metrics import add_counts_sql, counts_sql

#: Connections that make days at the same time.
CONNECTIONS = 4
_MIN_SPAN_MS = 3_600_000
_SETTINGS = (
    "work_mem = '256MB'",
    "maintenance_work_mem = '256MB'",
    "max_parallel_maintenance_workers = 0",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make: so many events, over the days that end with `last_day`."""

    events: int
    days: int
    products: int
    people: int
    seed: int
    now: datetime

    def shares(self) -> list[tuple[date, int]]:
        """Give each day with how many events it gets; later days get a few more."""
        today = self.now.astimezone(UTC).date()
        days = [today - timedelta(days=age) for age in range(self.days - 1, -1, -1)]
        bounds = [
            self.events * (n * (n + 2 * self.days)) // (3 * self.days**2)
            for n in range(self.days + 1)
        ]
        return [(day, bounds[n + 1] - bounds[n]) for n, day in enumerate(days)]


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was made, and how fast."""

    events: int
    days: int
    products: int
    people: int
    seconds: float

    def as_answer(self) -> dict[str, Any]:
        """Give the figures by name."""
        return {**asdict(self), "events_per_s": round(self.events / self.seconds)}


def is_empty(engine: Engine) -> bool:
    """Tell whether no event is stored."""
    with transaction(engine) as session:
        return not session.scalar(text("SELECT EXISTS (SELECT FROM events)"))


def seed(engine: Engine, plan: Plan, *, advance: Callable[[int], None]) -> Seeded:
    """Store the events of a plan, count them and mark their days; `advance(events)` after each day.

    Every day is a transaction of its own that leaves everything right.
    """
    began_s = time.monotonic()
    make_products(engine, plan.products)
    with transaction(engine) as session:
        existing = read_partition_days(session)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        jobs = {
            pool.submit(_make_day, engine, plan, day, events, attached=day in existing): events
            for day, events in plan.shares()
            if events
        }
        for job in as_completed(jobs):
            job.result()
            advance(jobs[job])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) events"))
        connection.execute(text("ANALYZE product_metrics"))
    return Seeded(
        events=plan.events,
        days=plan.days,
        products=plan.products,
        people=plan.people,
        seconds=round(time.monotonic() - began_s, 2),
    )


def make_products(engine: Engine, count: int) -> None:
    """Put the products into the catalogue, unless they are there."""
    with transaction(engine) as session:
        session.execute(
            text(
                "INSERT INTO products (product_id, name, category, price) "
                "SELECT 'p-' || lpad(n::text, 5, '0'), 'Product ' || n, 'category-' || n % 40, "
                "round((n * 37 % 9000 + 99) / 100.0, 2) "
                "FROM generate_series(0, :count - 1) AS n ON CONFLICT DO NOTHING"
            ),
            {"count": count},
        )


def _make_day(engine: Engine, plan: Plan, day: date, events: int, *, attached: bool) -> None:
    """Make a day's rows in a table apart, where no index slows it down; then take them over."""
    table = "fresh" if attached else partition_name(day)
    with transaction(engine) as session:
        for setting in _SETTINGS:
            session.execute(text(f"SET LOCAL {setting}"))
        if attached:
            session.execute(text("CREATE TEMP TABLE fresh (LIKE events) ON COMMIT DROP"))
        else:
            create_apart(session, day)
        _insert_rows(session, table, plan, day, events)
        session.execute(text(f"CREATE TEMP TABLE counted ON COMMIT DROP AS {counts_sql(table)}"))
        if attached:
            session.execute(text("INSERT INTO events SELECT * FROM fresh"))
        else:
            _index(session, table)
            lock_partitions(session)
            attach_partition(session, day)
        session.execute(text(add_counts_sql("product_metrics", "counted")))
        session.execute(text("INSERT INTO dirty_days (day) VALUES (:day)"), {"day": day})


def _insert_rows(session: Session, table: str, plan: Plan, day: date, events: int) -> None:
    day_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    until_now_ms = int(plan.now.timestamp() * 1000) - day_ms
    chance = (plan.seed + day.toordinal()) % 1000 / 1000
    session.execute(text("SELECT setseed(:chance)"), {"chance": chance})
    session.execute(
        text(rows_sql(table)),
        {
            "events": events,
            "day_ms": day_ms,
            "span_ms": min(DAY_MS, max(until_now_ms, _MIN_SPAN_MS)),
            "people": plan.people,
            "products": plan.products,
            "seed": f"{plan.seed}-{day}-",
        },
    )


def _index(session: Session, name: str) -> None:
    """Make the indices of events on a partition to be: attaching it takes them over."""
    session.execute(text(f"ALTER TABLE {name} ADD PRIMARY KEY (event_id)"))
    definitions = session.scalars(
        text(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indrelid = 'events'::regclass AND NOT indisprimary"
        )
    )
    for definition in definitions.all():
        made = re.sub(r"^CREATE INDEX \S+ ON ONLY \S+", f"CREATE INDEX ON {name}", definition)
        session.connection().exec_driver_sql(made)
