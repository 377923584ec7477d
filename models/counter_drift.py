"""Recount the counters of products from their events: what they should be, and what they are.

All is seen in one snapshot. Stores, purges and removals change counters and events together, so
the difference between the two is the same before and after each of them: events may come in while
a recount runs, and a difference that it finds can be corrected later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.product_metrics import COUNTERS, add_counts_sql, counts_sql

#: The sample of one night is one of so many parts of the products.
SAMPLES = 7

_NAMES = ", ".join(COUNTERS)


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the counters are from a recount."""

    checked: int
    #: Products whose counters differ from their stored and purged events.
    drifted: int
    #: By counter, how much was found and how much was expected, over all products checked.
    found: dict[str, Decimal] = field(default_factory=dict)
    expected: dict[str, Decimal] = field(default_factory=dict)
    #: By counter, the sum of the differences, each without its sign.
    drift: dict[str, Decimal] = field(default_factory=dict)
    #: Products of which sealed days and the events of the others give another count.
    differ_by_day: int = 0


def begin_snapshot(session: Session) -> None:
    """Make the open transaction see one moment; call it first.

    No partition may go meanwhile: whoever drops one waits, or gives up and comes again. The lock
    comes before the snapshot, so that no purge lies between the two.
    """
    session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    session.execute(text("SET LOCAL lock_timeout = '30s'"))
    session.execute(text("LOCK TABLE events IN ACCESS SHARE MODE"))


def read_event_tables(session: Session) -> list[str]:
    """List the partitions of events, to be recounted one by one."""
    return list(
        session.scalars(
            text(
                "SELECT CAST(inhrelid::regclass AS text) FROM pg_inherits "
                "WHERE inhparent = 'events'::regclass ORDER BY 1"
            )
        )
    )


def recount(
    session: Session,
    *,
    zone: str,
    sample: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Drift:
    """Count the stored events of every product, or of one of SAMPLES samples, and compare.

    Needs `begin_snapshot`. What is missing stays in the temporary table `corrections`, for
    `correct_counters` in a later transaction of the same connection. `progress(done, all)`.
    """
    session.execute(text("DROP TABLE IF EXISTS recounted, corrections"))
    session.execute(
        text("CREATE TEMP TABLE recounted (LIKE product_metrics, sealed boolean) ON COMMIT DROP")
    )
    tables = read_event_tables(session)
    where = f"WHERE {_in_sample('product_id')}"
    for done, table in enumerate(tables, start=1):
        counted = counts_sql(table, extra_key=_IS_SEALED)
        session.execute(
            text(
                f"INSERT INTO recounted (sealed, product_id, {_NAMES}, last_event_at) "
                f"SELECT * FROM ({counted}) AS counted {where}"
            ),
            {"zone": zone, "sample": sample},
        )
        if progress is not None:
            progress(done, len(tables))
    session.execute(text("ANALYZE recounted"))
    return _compare(session, sample=sample)


def correct_counters(session: Session) -> int:
    """Add what is missing, as the last recount of this connection found it; give the products.

    It is added to whatever the counters are by now, so nothing that came in since is lost.
    """
    corrected = session.execute(
        text(f"{add_counts_sql('product_metrics', 'corrections')} RETURNING 1")
    )
    return len(corrected.all())


_IS_SEALED = (
    "(occurred_at AT TIME ZONE :zone)::date IN "
    "(SELECT day FROM daily_totals WHERE sealed_at IS NOT NULL)"
)


def _in_sample(column: str) -> str:
    # PostgreSQL's remainder has the sign of the hash.
    part = f"((hashtextextended({column}, 0) % {SAMPLES}) + {SAMPLES}) % {SAMPLES}"
    return f"(CAST(:sample AS int) IS NULL OR {part} = :sample)"


_SUMS = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in COUNTERS)


def _compare(session: Session, *, sample: int | None) -> Drift:
    where = f"WHERE {_in_sample('product_id')}"
    expected = ", ".join(
        f"coalesce(stored.{name}, 0) + coalesce(purged.{name}, 0) AS {name}" for name in COUNTERS
    )
    by_day = ", ".join(
        f"coalesce(open.{name}, 0) + coalesce(sealed.{name}, 0) AS day_{name}" for name in COUNTERS
    )
    found = ", ".join(f"coalesce(metrics.{name}, 0) AS found_{name}" for name in COUNTERS)
    session.execute(
        text(
            f"""
CREATE TEMP TABLE compared ON COMMIT DROP AS
SELECT product_id, {expected}, {found}, {by_day}, stored.last_event_at
FROM (
    SELECT product_id, {_SUMS}, max(last_event_at) AS last_event_at
    FROM recounted GROUP BY product_id
) AS stored
FULL JOIN (SELECT product_id, {_SUMS} FROM recounted WHERE NOT sealed GROUP BY product_id) AS open
    USING (product_id)
FULL JOIN (
    SELECT product_id, {_SUMS} FROM daily_product_metrics
    WHERE day IN (SELECT day FROM daily_totals WHERE sealed_at IS NOT NULL) GROUP BY product_id
) AS sealed USING (product_id)
FULL JOIN purged_product_metrics AS purged USING (product_id)
FULL JOIN product_metrics AS metrics USING (product_id)
{where}"""
        ),
        {"sample": sample},
    )
    missing = ", ".join(f"{name} - found_{name} AS {name}" for name in COUNTERS)
    differs = " OR ".join(f"{name} <> found_{name}" for name in COUNTERS)
    session.execute(
        text(
            f"CREATE TEMP TABLE corrections AS SELECT product_id, {missing}, last_event_at "
            f"FROM compared WHERE {differs}"
        )
    )
    return _sum_up(session)


def _sum_up(session: Session) -> Drift:
    totals = ", ".join(
        f"coalesce(sum({name}), 0) AS {name}, coalesce(sum(found_{name}), 0) AS found_{name}, "
        f"coalesce(sum(abs({name} - found_{name})), 0) AS drift_{name}"
        for name in COUNTERS
    )
    by_day = " OR ".join(f"day_{name} <> {name}" for name in COUNTERS)
    row = session.execute(
        text(
            f"SELECT count(*) AS checked, count(*) FILTER (WHERE {by_day}) AS differ_by_day, "
            f"(SELECT count(*) FROM corrections) AS drifted, {totals} FROM compared"
        )
    ).one()
    values = row._mapping
    return Drift(
        checked=row.checked,
        drifted=row.drifted,
        found={name: values[f"found_{name}"] for name in COUNTERS},
        expected={name: values[name] for name in COUNTERS},
        drift={name: values[f"drift_{name}"] for name in COUNTERS if values[f"drift_{name}"]},
        differ_by_day=row.differ_by_day,
    )
