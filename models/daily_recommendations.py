"""Daily recommendations: how often products were shown on recommended lists, and where."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from models.recommendation_lines import IS_SHOWN, lines_sql, told_sql

#: What a row of recommendations is of, beside its day.
PLACE = ("placement", "position", "rung", "model_version")


class RecommendationPlace:
    """Where a product stood, and what put it there.

    No placement is the empty text; no position and no version are 0. The version and the rung are
    known of lists with an id of ours.
    """

    day: Mapped[date] = mapped_column(primary_key=True)
    placement: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rung: Mapped[str] = mapped_column(primary_key=True)
    model_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class DailyRecommendations(RecommendationPlace, Base):
    """Count one day's recommended products. A list counts where it begins."""

    __tablename__ = "daily_recommendations"

    lists: Mapped[int] = mapped_column(BigInteger)
    shown: Mapped[int] = mapped_column(BigInteger)


def count_shown_sql(source: str) -> str:
    """Write the SELECT of a day's rows from a relation of events.

    A product of a list counts once a day for each person, as it was shown first, however often the
    list is told again. Without an id nobody can tell a list that is told again from another one:
    each of its products counts, and the list does not.
    """
    # Numbers are sorted faster than texts.
    product = (
        "CASE WHEN list IS NULL THEN hashtextextended(concat(event_id, place), 0) "
        "ELSE hashtextextended(concat_ws(chr(10), list, coalesce(person, ''), product_id), 1) END"
    )
    return f"""
WITH told AS MATERIALIZED (
    SELECT *, row_number() OVER (
        PARTITION BY day, list, person ORDER BY occurred_at, event_id) AS showing
    FROM ({told_sql(source, IS_SHOWN)}) AS told
)
SELECT day, placement, position, rung, model_version, count(*) FILTER (WHERE is_first) AS lists,
    count(*) AS shown
FROM (
    SELECT DISTINCT ON (day, product) day, placement, position, rung, model_version, is_first
    FROM (
        SELECT day, placement, position, rung, model_version, occurred_at, event_id, place,
            list IS NOT NULL AND showing = 1 AND place = 1 AS is_first, {product} AS product
        FROM ({lines_sql("SELECT * FROM told", more=", showing")}) AS line
    ) AS hashed
    ORDER BY day, product, occurred_at, event_id, place
) AS first
GROUP BY 1, 2, 3, 4, 5"""
