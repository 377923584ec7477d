"""The products with the most interest, views, sales or money over some days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.daily_product_metrics import count_products_by_day_sql
from models.reports.days import Days, read_days
from models.traffic import COUNTED, Traffic
from models.weekly_product_metrics import days_parameters, days_sql

Sort = Literal["score", "views", "sales", "revenue"]

_COLUMNS = (
    "product_id",
    "total_views",
    "total_clicks",
    "total_favorites",
    "total_cart_additions",
    "total_sales",
    "total_revenue",
)
#: What is summed up for each order. The weights are those of the popular recommendations.
_SUMMED: dict[Sort, str] = {
    "score": "total_views + 2 * total_clicks + 3 * total_favorites + 3 * total_cart_additions "
    "+ 5 * total_sales",
    "views": "total_views",
    "sales": "total_sales",
    "revenue": "total_revenue",
}


@dataclass(frozen=True, slots=True)
class Popular:
    """Products in their order."""

    days: Days
    products: list[Any]


def read_popular(
    session: Session,
    first: date,
    last: date,
    *,
    zone: str,
    sort: Sort,
    limit: int,
    category: str | None = None,
    traffic: Traffic = COUNTED,
) -> Popular:
    """Rank products over the days first to last; of one category, if the catalogue knows it."""
    days = read_days(session, first, last, zone=zone, counted="true", traffic=traffic)
    columns = ", ".join(_COLUMNS)
    rows, recounted = days_sql(columns), ""
    if days.recounted:
        counted = count_products_by_day_sql(days.events_sql())
        recounted = f"recounted AS MATERIALIZED (SELECT {columns} FROM ({counted}) AS counted), "
        rows = f"{rows} UNION ALL SELECT {columns} FROM recounted"
    of_category = "product_id IN (SELECT product_id FROM products WHERE category = :category)"
    # Only the products of the answer need all their sums: one sum ranks them.
    found = session.execute(
        text(
            f"""
WITH {recounted}ranked AS MATERIALIZED (
    SELECT product_id, sum({_SUMMED[sort]}) AS rank FROM ({rows}) AS rows
    WHERE {"true" if category is None else of_category}
    GROUP BY product_id HAVING sum({_SUMMED[sort]}) > 0
    ORDER BY rank DESC, product_id LIMIT :limit
)
SELECT product_id, name, category, views, clicks, sales, revenue, score FROM ranked
JOIN (
    SELECT product_id, sum(total_views)::bigint AS views, sum(total_clicks)::bigint AS clicks,
        sum(total_sales)::bigint AS sales, sum(total_revenue) AS revenue,
        sum({_SUMMED["score"]})::bigint AS score
    FROM ({rows}) AS rows WHERE product_id = ANY(ARRAY(SELECT product_id FROM ranked))
    GROUP BY product_id
) AS summed USING (product_id) LEFT JOIN products USING (product_id)
ORDER BY rank DESC, product_id"""
        ),
        days.parameters(
            limit=limit,
            category=category,
            **days_parameters(first, last, without=days.recounted),
        ),
    )
    return Popular(days, list(found.all()))
