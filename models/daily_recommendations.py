"""Daily recommendations: how often lists were shown, clicked and led to a purchase, by place."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

MAX_PLACEMENT_CHARS = 200
#: Positions beyond this one are taken for none.
MAX_POSITION = 1000


class DailyRecommendations(Base):
    """Count one day's recommended products by placement and position in the list.

    No placement is the empty text, no position is 0.
    """

    __tablename__ = "daily_recommendations"

    day: Mapped[date] = mapped_column(primary_key=True)
    placement: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shown: Mapped[int] = mapped_column(BigInteger)
    clicked: Mapped[int] = mapped_column(BigInteger)
    purchased: Mapped[int] = mapped_column(BigInteger)


def count_recommendations_sql(source: str) -> str:
    """Write the SELECT of (day, placement, position, shown, clicked, purchased) of a relation.

    An event with items counts once for each of them at its position, one without counts once at
    the position that its properties name.
    """
    of_type = "event_type IN ('rec_shown', 'rec_clicked', 'rec_purchased')"
    placement = (
        "CASE WHEN jsonb_typeof(properties -> 'placement') = 'string' "
        f"THEN left(properties ->> 'placement', {MAX_PLACEMENT_CHARS}) ELSE '' END"
    )
    position = (
        "CASE WHEN jsonb_typeof(properties -> 'position') = 'number' "
        "THEN CAST(properties -> 'position' AS numeric) END"
    )
    return f"""
SELECT day, placement,
    CASE WHEN position BETWEEN 1 AND {MAX_POSITION} AND position = trunc(position)
        THEN CAST(position AS int) ELSE 0 END AS position,
    count(*) FILTER (WHERE event_type = 'rec_shown') AS shown,
    count(*) FILTER (WHERE event_type = 'rec_clicked') AS clicked,
    count(*) FILTER (WHERE event_type = 'rec_purchased') AS purchased
FROM (
    SELECT day, event_type, {placement} AS placement, {position} AS position
    FROM {source} WHERE {of_type} AND items IS NULL
    UNION ALL
    SELECT day, event_type, {placement}, CAST(item.position AS numeric)
    FROM {source} CROSS JOIN LATERAL jsonb_to_recordset(items) AS item(position int)
    WHERE {of_type} AND items IS NOT NULL
) AS line
GROUP BY 1, 2, 3"""
