"""The metrics of products, of all time or of some days, and the rates of the whole shop.

Of all time they are in `product_metrics`. Of some days they are the sum of their daily rows; days
that have events their rows do not know yet are counted from the events, so the sum is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from models.daily_aggregates import day_bounds, events_of_days_sql
from models.product_metrics import COUNTERS, counts_sql
from models.rates import PRIOR_RATINGS, PRIOR_TRIALS
from models.traffic import ALL
from models.weekly_product_metrics import days_parameters, days_sql

_NAMES = ", ".join(COUNTERS)
_EXACT = {"total_revenue", "rating_sum"}
_SUMS = ", ".join(
    f"coalesce(sum({name}), 0){'' if name in _EXACT else '::bigint'} AS {name}" for name in COUNTERS
)

#: Successes and trials of each rate; sales are units, less those that came back.
PROPORTIONS = {
    "click_through_rate": ("total_clicks", "total_impressions"),
    "cart_rate": ("total_cart_additions", "total_views"),
    "conversion_rate": ("total_sales", "total_views"),
}
#: Amount, trials and the trials that the whole shop's mean is worth.
MEANS = {
    "revenue_per_view": ("total_revenue", "total_views", PRIOR_TRIALS),
    "rating": ("rating_sum", "rating_count", PRIOR_RATINGS),
}
_PAIRS = {**PROPORTIONS, **{sort: (part, whole) for sort, (part, whole, _) in MEANS.items()}}
_COUNTED = {name.removeprefix("total_"): name for name in COUNTERS if name.startswith("total_")}
#: What metrics can be sorted by: counters, and the smoothed values of rates.
SORTS = (*_COUNTED, *PROPORTIONS, *MEANS)


@dataclass(frozen=True, slots=True)
class Source:
    """Where metrics are read: common table expressions, and the relation of the counters."""

    relation: str
    #: Whether a product has several rows in the relation.
    several: bool = False
    expressions: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    says: str = "aggregates"


LIFETIME = Source("product_metrics")


@dataclass(frozen=True, slots=True)
class Place:
    """The last row of a page, and the shop's rate by which that page was smoothed."""

    key: int | Decimal | float
    product_id: str
    prior: float


def source_of_days(session: Session, first: date, last: date, *, zone: str) -> Source:
    """Find where the metrics of the days first to last are: daily rows, events, or both."""
    days = {"first_day": first, "last_day": last}
    raw = list(
        session.scalars(
            text(
                "SELECT DISTINCT day FROM dirty_days WHERE day BETWEEN :first_day AND :last_day "
                "AND day NOT IN (SELECT day FROM daily_totals WHERE sealed_at IS NOT NULL)"
            ),
            days,
        )
    )
    columns = f"product_id, {_NAMES}, NULL::timestamptz AS last_event_at"
    parameters = days_parameters(first, last, without=raw)
    if not raw:
        return Source(f"({days_sql(columns)})", several=True, parameters=parameters)
    # A purge may seal a day between the two statements, with its events gone.
    expressions = f"""raw AS MATERIALIZED (
    SELECT day FROM unnest(CAST(:raw AS date[])) AS given(day)
    WHERE day NOT IN (SELECT day FROM daily_totals WHERE sealed_at IS NOT NULL)
), picked AS MATERIALIZED (
    SELECT * FROM {events_of_days_sql()} WHERE day IN (SELECT day FROM raw)
), counted AS MATERIALIZED ({counts_sql("picked", traffic=ALL)}
),"""
    return Source(
        f"({days_sql(columns)} UNION ALL SELECT {columns} FROM daily_product_metrics "
        "WHERE day = ANY(CAST(:raw AS date[])) AND day NOT IN (SELECT day FROM raw) "
        f"UNION ALL SELECT {columns} FROM counted)",
        several=True,
        expressions=expressions,
        parameters={**parameters, "raw": raw, **day_bounds(min(raw), max(raw), zone=zone)},
        says="events",
    )


def read_priors(session: Session, source: Source) -> dict[str, float]:
    """Give the rates and means of the whole shop, towards which those of products are smoothed."""
    names = dict.fromkeys(name for pair in _PAIRS.values() for name in pair)
    sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in names)
    row = session.execute(
        text(
            f"WITH {source.expressions} shop AS (SELECT {sums} FROM {source.relation} AS line) "
            "SELECT * FROM shop"
        ),
        source.parameters,
    ).one()
    totals = {name: float(value) for name, value in row._mapping.items()}
    priors = {
        sort: totals[part] / totals[whole] if totals[whole] > 0 else 0.0
        for sort, (part, whole) in _PAIRS.items()
    }
    return {
        sort: min(max(prior, 0.0), 1.0) if sort in PROPORTIONS else prior
        for sort, prior in priors.items()
    }


def read_product_metrics(session: Session, source: Source, product_id: str) -> Row[Any] | None:
    """Give the metrics of one product; None when neither catalogue nor events know it."""
    return session.execute(
        text(
            f"WITH {source.expressions} "
            "page AS (SELECT CAST(:product_id AS text) AS product_id, 0 AS key) "
            f"{_ROWS.format(relation=source.relation)} "
            "WHERE EXISTS (SELECT FROM products AS c WHERE c.product_id = page.product_id) "
            "OR EXISTS (SELECT FROM product_metrics AS k WHERE k.product_id = page.product_id)"
        ),
        {**source.parameters, "product_id": product_id},
    ).one_or_none()


def list_product_metrics(
    session: Session,
    source: Source,
    *,
    sort: str,
    descending: bool,
    prior: float,
    category: str | None = None,
    product_id: str | None = None,
    after: Place | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """List up to `limit` products by one of SORTS, from behind a place.

    A rate is sorted by its value smoothed towards `prior`. Each row has the counters, name and
    category, and the `key` it is sorted by.
    """
    conditions = []
    if category is not None:
        conditions.append(
            "product_id IN (SELECT product_id FROM products WHERE category = :category)"
        )
    if product_id is not None:
        conditions.append("product_id = :product_id")
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    names, key = _key(sort)
    rows = f"SELECT product_id, {', '.join(names)} FROM {source.relation} AS line {where}"
    if source.several:
        sums = ", ".join(f"sum({name}) AS {name}" for name in names)
        rows = (
            f"SELECT product_id, {sums} FROM {source.relation} AS line {where} GROUP BY product_id"
        )
    order = "DESC" if descending else "ASC"
    behind = ""
    if after is not None:
        kind = key_type(sort)
        behind = (
            f"WHERE (key, product_id) {'<' if descending else '>'} "
            f"(CAST(:after_key AS {kind}), CAST(:after_id AS text))"
        )
    return session.execute(
        text(
            f"""WITH {source.expressions} page AS (
    SELECT product_id, key FROM (SELECT product_id, {key} AS key FROM ({rows}) AS sums) AS keyed
    {behind} ORDER BY key {order}, product_id {order} LIMIT :limit
) {_ROWS.format(relation=source.relation)}
ORDER BY page.key {order}, page.product_id {order}"""
        ),
        {
            **source.parameters,
            "category": category,
            "product_id": product_id,
            "prior": prior,
            "after_key": None if after is None else after.key,
            "after_id": None if after is None else after.product_id,
            "limit": limit,
        },
    ).all()


_ROWS = f"""
SELECT page.product_id, page.key, p.name, p.category, m.*
FROM page CROSS JOIN LATERAL (
    SELECT {_SUMS}, max(last_event_at) AS last_event_at
    FROM {{relation}} AS line WHERE line.product_id = page.product_id
) AS m LEFT JOIN products AS p ON p.product_id = page.product_id"""


def _key(sort: str) -> tuple[tuple[str, ...], str]:
    """Give the columns that a sort needs, and the expression of its key."""
    if sort in PROPORTIONS:
        part, whole = PROPORTIONS[sort]
        trials = f"CAST(greatest({whole}, 0) AS float8)"
        successes = f"CAST(least(greatest({part}, 0), greatest({whole}, 0)) AS float8)"
        return (part, whole), (
            f"({successes} + {PRIOR_TRIALS} * CAST(:prior AS float8)) / ({trials} + {PRIOR_TRIALS})"
        )
    if sort in MEANS:
        part, whole, weight = MEANS[sort]
        return (part, whole), (
            f"(CAST({part} AS float8) + {weight} * CAST(:prior AS float8)) "
            f"/ (CAST(greatest({whole}, 0) AS float8) + {weight})"
        )
    return (_COUNTED[sort],), f"CAST({_COUNTED[sort]} AS {key_type(sort)})"


def key_type(sort: str) -> str:
    """Give the type of a sort's key in the database: bigint, numeric or float8."""
    if sort in _COUNTED:
        return "numeric" if _COUNTED[sort] in _EXACT else "bigint"
    return "float8"
